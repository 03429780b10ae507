/** The same bits without WebAssembly. */

import { expect, test, vi } from "vitest";
import { bytesOf, jsonOf, namesIn } from "../conformance";
import { hashOf } from "../hashes";
import { Reader } from "../../src/container/bytes";
import { readFile } from "../../src/container/format";
import { fieldFromHeader } from "../../src/fields/families";
import type { Pyramid } from "../../src/fields/pyramid";

vi.mock("../../src/wasm/vectors", () => ({ vectors: () => undefined }));

test.each(namesIn("pyramids/"))("%s", (name) => {
  const golden = jsonOf<Record<string, string>>("pyramids/golden.json")[name.slice("pyramids/".length)];
  const { header, sections } = readFile(bytesOf(`${name}.sinr`)), field = fieldFromHeader(header.field, 2 ** 20) as Pyramid;
  for (const [key, tensor] of field.decodeSection(new Reader(sections[0], "pyramid"))) expect(hashOf(tensor), key).toBe(golden[key]);
});
