import { beforeAll, describe, expect, it } from "vitest";
import { loadBrotli } from "../../src/coding/inflate";
import { decodeRecord, decodeRecords } from "../../src/coding/records";
import { Reader } from "../../src/container/bytes";
import { readFile } from "../../src/container/format";
import { bytesOf, hex, jsonOf } from "../conformance";
import { hashesOf } from "../hashes";

const GOLDEN = jsonOf<Record<string, string>>("golden.json");
const UNBOUNDED = { work: Infinity, memory: Infinity };

describe("decodeRecord", () => {
  it.each([
    ["1f 00 85 07 07 c2 ce c0", [2, 3], [0.25, -0.5, 0.125, 0, 0.375, -0.125]],
    ["3f 00 87 01 07 10 02 03 06 19 b3 e4 c5", [4, 2], [-2, -2.5, 0, -2.5, 0, -2.5, 2, 2.5]],
  ])("reads the example %s of the format", (digits, shape, weights) => {
    const reader = new Reader(hex(digits)), tensor = decodeRecord(reader, shape, "float32");
    reader.end();
    expect(tensor.data).toEqual(Float32Array.from(weights));
  });
});

describe("decodeRecords", () => {
  beforeAll(loadBrotli);

  it.each(["state", "large", "trellis", "scaled", "cosines"])("gives the tensors of %s", (name) => {
    const { header, sections } = readFile(bytesOf(`${name}.sinr`));
    const tensors = decodeRecords(header.manifest, { section: sections[0], planes: [], of: 0, budget: UNBOUNDED });
    expect(hashesOf(tensors)).toEqual(GOLDEN[name]);
  });
});
