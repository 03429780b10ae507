import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { sha256 } from "../src/container/sha256";
import { open } from "../src/decoding";
import { InputError } from "../src/errors";
import { bytesOf, jsonOf } from "./conformance";
import { hashesOf } from "./hashes";
import { npyOf } from "./numpy";

const GOLDEN = jsonOf<Record<string, string>>("bases/golden.json");
const BASE_OF = { patches: "shared", steps: "shared", cosines: "shared", whole: "shared_whole", difference: "start" };

describe("sha256", () => {
  it.each([0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])("of %i bytes is that of Node.js", (length) => {
    const data = Uint8Array.from({ length }, (_, i) => i * 7);
    expect(Buffer.from(sha256(data)).toString("hex")).toBe(createHash("sha256").update(data).digest("hex"));
  });
});

describe("bases", () => {
  it.each(Object.values(BASE_OF))("%s has its name and its numbers", (name) => {
    const file = open(bytesOf(`bases/${name}.sinr`));
    if (file.kind !== "base") throw new Error(`${name}: is of kind ${file.kind}`);
    expect(GOLDEN[name]).toMatchObject({ base: file.info().base, ...hashesOf(file.weights()) });
  });

  it.each(Object.entries(BASE_OF))("%s decodes beside %s", (name, base) => {
    const file = open(bytesOf(`bases/${name}.sinr`), { base: bytesOf(`bases/${base}.sinr`) });
    if (file.kind !== "image") throw new Error(`${name}: is of kind ${file.kind}`);
    expect(hashesOf(file.weights())).toMatchObject(GOLDEN[name]);
    const wanted = npyOf(`bases/${name}.npy`), { shape, data } = file.render();
    expect(shape).toEqual(wanted.shape);
    wanted.data.forEach((value, i) => expect(Math.abs((data[i] as number) - value)).toBeLessThanOrEqual(1));
  });

  it("are asked for by name", () => {
    const bytes = bytesOf("bases/patches.sinr");
    expect(() => open(bytes)).toThrow(InputError);
    expect(() => open(bytes, { base: bytesOf("bases/start.sinr") })).toThrow(/needs the base [0-9a-f]{32}, but/);
    expect(() => open(bytes, { base: bytesOf("direct.sinr") })).toThrow(InputError);
  });
});
