import { beforeAll, describe, expect, it } from "vitest";
import { decodeIntegers } from "../../src/coding/coders";
import { bitsOf, fromBits, fromFloats } from "../../src/coding/elements";
import { loadBrotli } from "../../src/coding/inflate";
import { PlaneReader } from "../../src/coding/planes";
import { stepOf } from "../../src/coding/records";
import { decodeSets } from "../../src/coding/sets";
import { Reader } from "../../src/container/bytes";
import { LimitError, MalformedError, TruncatedError, UnknownIdError } from "../../src/errors";
import { fromHalf } from "../../src/tensor";
import { hex } from "../conformance";

const reader = (digits: string): Reader => new Reader(hex(digits));

/** The integers of a stream that is read to its end. */
function integers(digits: string, count: number): (number | bigint)[] {
  const bytes = reader(digits), values = decodeIntegers(bytes, count);
  bytes.end();
  return Array.from<number | bigint>(values);
}

describe("decodeIntegers", () => {
  beforeAll(loadBrotli);

  it.each([
    ["a constant", "00 0a", [5, 5, 5, 5]],
    ["shape 1/2", "08 1e 02 96 dd 37", [0, 1, -1, 0, 2, 0, -2, 1]],
    ["uniform", "0f ce 0f 04 50 01", [1000, 1001, 1003, 999, 1000, 1002]],
    ["low parts", "0c 72 78 80 1f ef 40 6b 02 01 c0 84 00", [0, 70000, -70000, 123456]],
    ["contexts", "02 04 61 eb ff f7 f8 1b", [0, 1, 0, 0, 3, 17, -1, 0, 1, -2, 0]],
    ["an adaptive scale and a trellis", "03 b9 4c 06 04 77 58 06 38", [0, -4, 4, 2, 8, -8, 0, -12]],
    ["bytes under Brotli", "01 00 06 8b 00 80 01 02 03", [1, 2]],
    ["planes under Brotli", "01 09 08 8b 01 80 01 ff 02 ff 03", [513, -1]],
    ["words under Brotli", "01 19 08 8b 01 80 01 ff 02 ff 03", [-255, -254]],
    ["large constants", "00 ff ff ff ff ff ff ff ff ff 01", [-(2n ** 63n), -(2n ** 63n)]],
  ])("reads %s", (_, digits, values) => {
    expect(integers(digits, values.length)).toEqual(values);
  });

  it.each([
    ["another coder", "04 00", UnknownIdError], ["no coder", "1f 00", UnknownIdError],
    ["a support beyond 64 bits", "0f 00 ff ff ff ff ff ff ff ff ff 01 00", MalformedError],
    ["a centre outside the support", "08 9e ff 02 04 05 00", MalformedError], ["rows of nothing", "02 00 00", MalformedError],
    ["rows longer than all", "02 05 00", MalformedError], ["an unknown distribution", "03 07 00 00 01 00", MalformedError],
    ["a large start", "03 00 e1 ff 01 00 01 00", MalformedError], ["Brotli parameters", "01 20 00", MalformedError],
    ["nothing", "", TruncatedError], ["a short stream", "0f ce 0f 04", TruncatedError],
  ])("refuses %s", (_, digits, error) => {
    expect(() => integers(digits, 4)).toThrow(error);
  });

  it("refuses more symbols than bytes may hold", () => {
    expect(() => integers("0f 00 01 02 00 00", 10_000)).toThrow(LimitError);
  });
});

it("sets are those of the format", () => {
  expect(Array.from(decodeSets(reader("3e 4f"), 3, 2, 8))).toEqual([1, 5, 6, 0, 2, 7]);
});

it("whole sets take no bits", () => {
  const bytes = reader("00 ff");
  expect(Array.from(decodeSets(bytes, 3, 1, 3))).toEqual([0, 1, 2]);
  expect(bytes.position).toBe(1);
});

it("planes append the bits of the format's example", () => {
  const levels = Float64Array.of(0, 1, -1, 3, -1, 0), planes = ["f2", "66"].map((digits, number) => new PlaneReader(hex(digits), number));
  for (const plane of planes) {
    plane.refine(levels);
    plane.end();
  }
  expect(Array.from(levels, (level) => level - 2)).toEqual([0, 5, -3, 12, -6, 1]);
});

it("steps are those of the format", () => {
  expect([34816, 34432, 0].map(stepOf)).toEqual([1, 0.375, 2 ** -136]);
});

describe("elements", () => {
  it("of 16 bits are rounded once, to the even one of two", () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      const value = fromHalf(bits), next = bits === 0x7bff ? 2 ** 16 : fromHalf(bits + 1), middle = (value + next) / 2;
      expect(bitsOf(value, 10, 15)).toBe(bits);
      expect(bitsOf(-value, 10, 15)).toBe(bits === 0 ? 0x8000 : 0x8000 + bits);
      expect(bitsOf(middle, 10, 15)).toBe(bits + (bits & 1));
      expect(bitsOf(middle * (1 + 2 ** -50), 10, 15)).toBe(bits + 1);
      expect(bitsOf(middle * (1 - 2 ** -50), 10, 15)).toBe(bits);
    }
    expect(bitsOf(1e6, 10, 15)).toBe(0x7c00);
  });

  it("of bfloat16 do not go through binary32", () => {
    expect(bitsOf(1, 7, 127)).toBe(0x3f80);
    expect(bitsOf(1 + 2 ** -8, 7, 127)).toBe(0x3f80);
    expect(bitsOf(1 + 2 ** -8 + 2 ** -40, 7, 127)).toBe(0x3f81);
    expect(bitsOf(-(1 + 3 * 2 ** -8), 7, 127)).toBe(0xbf82);
    expect(bitsOf(1e39, 7, 127)).toBe(0x7f80);
    expect(Array.from(fromFloats(Float64Array.of(1, 2), "bfloat16") as Uint16Array)).toEqual([0x3f80, 0x4000]);
  });

  it("by value or by bits stay within their range", () => {
    const none = reader("");
    expect(fromBits(Float64Array.of(-128, 127), "int8", none)).toEqual(Int8Array.of(-128, 127));
    expect(fromBits(Float64Array.of(0, 1), "bool", none)).toEqual(Uint8Array.of(0, 1));
    expect(fromBits(Float64Array.of(0x3f800000), "float32", none)).toEqual(Float32Array.of(1));
    expect(fromBits(Float64Array.of(-1, -(2 ** 40) - 3), "int64", none)).toEqual(BigInt64Array.of(-1n, -(2n ** 40n) - 3n));
    expect(fromBits(Float64Array.of(-1), "uint64", none)).toEqual(BigUint64Array.of(2n ** 64n - 1n));
    expect(fromBits(BigInt64Array.of(0x3ff0000000000000n), "float64", none)).toEqual(Float64Array.of(1));
    for (const [value, dtype] of [[128, "int8"], [2, "bool"], [-1, "uint8"], [2 ** 32, "float32"], [-1, "uint32"]] as const) {
      expect(() => fromBits(Float64Array.of(value), dtype, none)).toThrow(MalformedError);
    }
    expect(() => fromBits(BigInt64Array.of(2n ** 60n), "int16", none)).toThrow(MalformedError);
  });
});
