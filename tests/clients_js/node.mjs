// Runs SQL in node: {file, queries, rounds} from standard input, [{rows, times} or {error}] to standard output.
import { DuckDBInstance } from "@duckdb/node-api";
import { readFileSync } from "node:fs";
import { answers, text } from "./answers.mjs";

const { file, queries, rounds } = JSON.parse(readFileSync(0, "utf8"));
const instance = await DuckDBInstance.create(file, { access_mode: "READ_ONLY" });
const connection = await instance.connect();
const rows = async (sql) => (await connection.runAndReadAll(sql)).getRowsJS();
console.log(text(await answers(rows, queries, rounds)));
