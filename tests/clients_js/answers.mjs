// What both clients do: run each query, some of them several times, and say how long it took.

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
      times.sort((a, b) => a - b);
      made.push({ rows: found, first: times[times.length - 1], ms: times[times.length >> 1] });
    } catch (error) {
      made.push({ error: error.message });
    }
  }
  return made;
}

export const text = (value) =>
  JSON.stringify(value, (_, part) => (typeof part === "bigint" ? Number(part) : part));
