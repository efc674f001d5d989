/**
 * Writes lines to a file as fast as it is told to, and rotates it: twice by renaming, twice by copying and truncating, with a
 * compression of the oldest. At the end, how many lines it wrote.
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";

const [log = ""] = process.argv.slice(2);
let written = 0;

async function write(ms) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    let lines = "";
    for (let i = 0; i < 50; i++) lines += `{"event":${written++},"text":"${"x".repeat(written % 300)}"}\n`;
    // Cut anywhere, as buffers are.
    const cut = written % lines.length;
    appendFileSync(log, lines.slice(0, cut));
    await sleep(5);
    appendFileSync(log, lines.slice(cut));
  }
}

function shift() {
  for (let i = 9; i >= 1; i--) {
    for (const end of ["", ".gz"]) {
      if (existsSync(`${log}.${i}${end}`)) renameSync(`${log}.${i}${end}`, `${log}.${i + 1}${end}`);
    }
  }
}

for (let round = 0; round < 2; round++) {
  await write(1_500);
  shift();
  renameSync(log, `${log}.1`);
  writeFileSync(log, "");
  await write(1_500);
  shift();
  copyFileSync(log, `${log}.1`);
  truncateSync(log);
  await write(1_000);
  if (existsSync(`${log}.2`)) {
    writeFileSync(`${log}.2.gz`, gzipSync(readFileSync(`${log}.2`)));
    unlinkSync(`${log}.2`);
  }
}
await write(500);
process.stdout.write(`${written}`);
