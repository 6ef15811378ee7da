// What both clients do: run each query several times, and say how many milliseconds each time took.

export async function answers(rows, queries, rounds) {
  const made = [];
  for (const sql of queries) {
    try {
      const times = [];
      let found;
      for (let round = 0; round < rounds; round++) {
        const began = performance.now();
        found = await rows(sql);
        times.push(performance.now() - began);
      }
      made.push({ rows: found, times });
    } catch (error) {
      made.push({ error: error.message });
    }
  }
  return made;
}

export const text = (value) =>
  JSON.stringify(value, (_, part) => (typeof part === "bigint" ? Number(part) : part));
