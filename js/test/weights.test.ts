/** Golden weights of tests/conformance, which must match to the bit (docs/format.md, section 10). */

import { beforeAll, describe, expect, it } from "vitest";
import { loadBrotli } from "../src/coding/inflate";
import { open } from "../src/decoding";
import { bytesOf, jsonOf, namesIn } from "./conformance";
import { hashesOf } from "./hashes";

/** Folders whose golden.json has tensors; those of bases have a test of their own, and those of exact/ are the others' again. */
const FOLDERS = ["", "signals/", "pyramids/", "interlaced/"];
/** Hashes of renderings, which stand beside those of the tensors of pyramids and of interlaced samples. */
const RENDERINGS = ["pixels", "region", "larger", "smaller", "faster"];

beforeAll(loadBrotli);

/** Hashes of all tensors of a file; those of one of several networks begin with its number. */
function hashesIn(name: string): Record<string, string> {
  const file = open(bytesOf(`${name}.sinr`));
  if (file.kind === "state" || file.kind === "base") return hashesOf(file.weights());
  const parts = file.spec.parts, found: Record<string, string> = {};
  for (let part = 0; part < parts; part++) {
    for (const [key, hash] of Object.entries(hashesOf(file.weights(part)))) found[parts === 1 ? key : `${part}.${key}`] = hash;
  }
  return found;
}

describe.each(FOLDERS)("golden weights of tests/conformance/%s", (folder) => {
  const golden = jsonOf<Record<string, string>>(`${folder}golden.json`);

  it("no file is forgotten", () => {
    expect(namesIn(folder)).toEqual(Object.keys(golden).map((name) => folder + name).sort());
  });

  it.each(Object.keys(golden))("%s", (name) => {
    const wanted = Object.entries(golden[name]).filter(([key]) => !RENDERINGS.includes(key));
    expect(hashesIn(folder + name)).toEqual(Object.fromEntries(wanted));
  });
});
