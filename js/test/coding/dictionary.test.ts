import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { atomsOf, DCT, dictionaryExists, exactCosine, GAUSSIAN, HADAMARD, SIGN } from "../../src/coding/dictionary";
import { Philox } from "../../src/coding/philox";

function entries(kind: number, seed: bigint, k1: number, k2: number, numbers: number[]): Int8Array {
  const atoms = atomsOf(kind, seed, k1, k2), out = new Int8Array(k1 * numbers.length);
  numbers.forEach((number, i) => atoms(number, out, i * k1));
  return out;
}

/** The entries of all atoms. */
function whole(kind: number, seed: bigint, k1: number, k2: number): Int8Array {
  return entries(kind, seed, k1, k2, Array.from({ length: k2 }, (_, i) => i));
}

describe("Philox", () => {
  it("gives the known answer", () => {
    const words = new BigUint64Array(new Philox(0n, 0n).block(0).buffer);
    expect(Array.from(words, (word) => word.toString(16).padStart(16, "0"))).toEqual([
      "16554d9eca36314c", "db20fe9d672d0fdc", "d7e772cee186176b", "7e68b68aec7ba23b",
    ]);
  });

  it("counts in 64 bits", () => {
    const generator = new Philox(2n ** 64n - 1n, 2n ** 63n);
    const far = Array.from(generator.block(2 ** 40 + 5)), near = Array.from(generator.block(5));
    expect(far).not.toEqual(near);
    expect(Array.from(generator.block(2 ** 40 + 5))).toEqual(far);
  });
});

describe("dictionaries", () => {
  it.each([
    ["gaussian", GAUSSIAN, [-2, 5, 5, 4, -4, 0, -1, 2, -4, 1, 1, 7, -1, 0, 4, -6, 0, 3, 8, -2, 1, -1, 10, -1]],
    ["sign", SIGN, [-1, 1, 1, 1, -1, 1, 1, 1, 1, -1, -1, 1, -1, -1, -1, 1, -1, -1, -1, -1, 1, -1, -1, 1]],
    ["hadamard", HADAMARD, [1, -1, -1, -1, -1, 1, 1, 1, 1, 1, -1, 1, -1, -1, 1, -1, 1, -1, 1, 1, -1, 1, -1, -1]],
  ])("%s has the known atoms", (_, kind, known) => {
    expect(Array.from(entries(kind, 0n, 8, 16, [0, 1, 2]))).toEqual(known);
  });

  it("dct has the known atoms", () => {
    expect(Array.from(entries(DCT, 3n, 6, 24, [0, 1, 9]))).toEqual([
      127, 127, 127, 127, 127, 127, 123, 90, 33, 123, 90, 33, 83, -83, -83, 34, -34, -34,
    ]);
  });

  it.each([
    [GAUSSIAN, "7e047673b5363a352e5e2aef8b83b740a26ee39d725b452e8c2e7ef6dc7ac211"],
    [SIGN, "404181058c3bd611f5873ae85447fd309357831aba08613c3d992f94bf7d8102"],
    [HADAMARD, "42d1fef30f4ab2aef12f23a1829016c2e3a038392792f9ec056d9d4b20867a24"],
  ])("kind %i has the known hash", (kind, hash) => {
    expect(createHash("sha256").update(whole(kind, 0x123456789abcdef0n, 100, 300)).digest("hex")).toBe(hash);
  });

  it("dct has the known hash", () => {
    const hash = createHash("sha256").update(whole(DCT, 24n, 384, 1536)).digest("hex");
    expect(hash).toBe("dbf8a777ee9712ede3577db59c95ea04b01caee77d7889f911b30532967ca160");
  });

  it("exact cosines agree with those of the library away from halves", () => {
    for (let i = 0; i <= 96; i++) {
      expect(Math.abs(exactCosine(i, 384) - 2 ** 24 * Math.cos((2 * Math.PI * i) / 384))).toBeLessThan(0.5 + 1e-6);
    }
  });

  it("only grids have cosines", () => {
    expect(dictionaryExists(DCT, 3n, 6, 24)).toBe(true);
    for (const [seed, k1, k2] of [[0n, 6, 24], [4n, 6, 24], [3n, 6, 12], [3n, 6, 25], [256n, 16384, 65536 * 4]] as const) {
      expect(dictionaryExists(DCT, seed, k1, k2)).toBe(false);
    }
  });
});
