import { readFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { decompress } from "../../src/coding/brotli";
import { COMPRESSED } from "../../src/coding/brotli_dictionary";
import { BrotliNeededError, inflate, loadBrotli, withBrotli } from "../../src/coding/inflate";
import { crc32 } from "../../src/container/crc32";
import { MalformedError, TruncatedError } from "../../src/errors";

const text = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../../../docs/${name}`, import.meta.url)));

/** Bytes that a generator of congruences makes, below a bound. */
function noise(count: number, bound: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: count }, () => Math.floor(((state = (state * 48271) % 0x7fffffff) / 0x7fffffff) * bound));
}

function compressed(data: Uint8Array, quality: number, window: number): Uint8Array {
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: window };
  return new Uint8Array(brotliCompressSync(data, { params }));
}

const page = text("format.md");
const CASES: [string, Uint8Array][] = [
  ["nothing", new Uint8Array(0)], ["a byte", Uint8Array.of(7)], ["zeros", new Uint8Array(100_000)], ["text", page],
  ["noise", noise(70_000, 256)], ["few values", noise(70_000, 5)], ["ramps", Uint8Array.from({ length: 66_000 }, (_, i) => i % 251)],
  ["many kinds", Uint8Array.from([...page, ...noise(30_000, 9), ...page.subarray(500, 40_000), ...noise(20_000, 256)])],
];

describe("the dictionary", () => {
  const words = compressed(new TextEncoder().encode("the government of the international information"), 11, 22);

  it("is loaded where a stream needs it", async () => {
    expect(inflate(compressed(noise(1000, 3), 9, 22), 1000, "data")).toEqual(noise(1000, 3));
    expect(() => inflate(words, 100, "data")).toThrow(BrotliNeededError);
    expect(new TextDecoder().decode(await withBrotli(() => inflate(words, 100, "data")))).toContain("international");
  });

  it("has the checksum of that of other decoders", () => {
    const coded = Uint8Array.from(atob(COMPRESSED), (character) => character.charCodeAt(0));
    const dictionary = decompress(coded, 2 ** 17, "dictionary", () => { throw new Error("no words in it"); });
    expect([dictionary.length, crc32(dictionary)]).toEqual([122784, 0x5136cb04]);
  });
});

describe("inflate", () => {
  beforeAll(loadBrotli);

  it.each(CASES)("restores %s", (_, data) => {
    for (const quality of [0, 1, 2, 5, 9, 11]) {
      for (const window of [10, 16, 17, 22]) {
        expect(Buffer.compare(inflate(compressed(data, quality, window), data.length, "data"), data)).toBe(0);
      }
    }
  });

  it("stops after the bytes that are expected", () => {
    for (const [, data] of CASES.slice(2)) {
      const coded = compressed(data, 9, 22), kept = inflate(coded, 999, "data");
      expect([kept.length, Buffer.compare(kept, data.subarray(0, 1000))]).toEqual([1000, 0]);
    }
  });

  it("refuses streams that end early", () => {
    const coded = compressed(page, 9, 22);
    for (const length of [0, 1, 2, 5, 100, coded.length - 1]) {
      expect(() => inflate(coded.subarray(0, length), page.length, "data")).toThrow(TruncatedError);
    }
  });

  it("refuses bytes behind the end, and what is no stream", () => {
    const coded = compressed(page, 9, 22);
    expect(() => inflate(Uint8Array.of(...coded, 0), page.length, "data")).toThrow(MalformedError);
    expect(() => inflate(Uint8Array.of(0x11, 0, 0), 10, "data")).toThrow(MalformedError);
  });

  it("ends for any bytes", () => {
    const coded = compressed(page.subarray(0, 5000), 11, 16);
    for (let at = 0; at < coded.length; at += 3) {
      const damaged = coded.slice();
      damaged[at] ^= 1 << at % 8;
      try {
        expect(inflate(damaged, 5000, "data").length).toBeLessThanOrEqual(5001);
      } catch (error) {
        if (!(error instanceof MalformedError || error instanceof TruncatedError)) throw error;
      }
    }
  });
});
