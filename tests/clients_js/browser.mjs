// Runs SQL in a browser: {queries, rounds} from /asked, the file from /shop.duckdb; what node.mjs prints goes to /answered.
import * as duckdb from "/node_modules/@duckdb/duckdb-wasm/dist/duckdb-browser.mjs";
import { answers, text } from "./answers.mjs";

const dist = `${location.origin}/node_modules/@duckdb/duckdb-wasm/dist`;

async function answered() {
  const { queries, rounds } = await (await fetch("/asked")).json();
  const worker = new Worker(`${dist}/duckdb-browser-eh.worker.js`);
  const database = new duckdb.AsyncDuckDB(new duckdb.VoidLogger(), worker);
  await database.instantiate(`${dist}/duckdb-eh.wasm`);
  const file = new Uint8Array(await (await fetch("/shop.duckdb")).arrayBuffer());
  await database.registerFileBuffer("shop.duckdb", file);
  await database.open({ path: "shop.duckdb", accessMode: duckdb.DuckDBAccessMode.READ_ONLY });
  const connection = await database.connect();
  const rows = async (sql) =>
    (await connection.query(sql)).toArray().map((row) => Object.values(row.toJSON()));
  return await answers(rows, queries, rounds);
}

const online = await fetch("https://extensions.duckdb.org", { mode: "no-cors" }).then(() => true, () => false);
const made = await answered().catch((error) => [{ error: error.stack }]);
await fetch("/answered", { method: "POST", body: text({ online, made }) });
