import { describe, expect, it } from "vitest";
import { CborFloat, decodeCbor } from "../../src/container/cbor";
import { LimitError, MalformedError } from "../../src/errors";
import { hex } from "../conformance";

describe("decodeCbor", () => {
  it.each([
    ["00", 0], ["17", 23], ["1818", 24], ["20", -1], ["3903e7", -1000], ["1b001fffffffffffff", 2 ** 53 - 1],
    ["1b0020000000000000", 2n ** 53n], ["1bffffffffffffffff", 2n ** 64n - 1n], ["3bffffffffffffffff", -(2n ** 64n)],
    ["3b001ffffffffffffe", -(2 ** 53 - 1)], ["3b001fffffffffffff", -(2n ** 53n)],
    ["f90000", new CborFloat(0)], ["f98000", new CborFloat(-0)], ["f93c00", new CborFloat(1)],
    ["f97bff", new CborFloat(65504)], ["f90001", new CborFloat(2 ** -24)], ["fa47c35000", new CborFloat(100000)],
    ["fb3ff199999999999a", new CborFloat(1.1)], ["fa33000000", new CborFloat(2 ** -25)],
    ["f4", false], ["f5", true], ["f6", null], ["62c3bc", "ü"], ["4201ff", Uint8Array.of(1, 255)],
    ["83010203", [1, 2, 3]], ["a201020304", new Map([[1, 2], [3, 4]])], ["a1616101", new Map([["a", 1]])],
  ])("reads %s", (digits, value) => {
    expect(decodeCbor(hex(digits))).toStrictEqual(value);
  });

  it.each([
    ["1817", "a longer integer"], ["190017", "a longer integer"], ["1b00000000ffffffff", "a longer integer"],
    ["fa3f800000", "a longer float"], ["fa00000000", "a longer zero"], ["fb3ff0000000000000", "a longer float"],
    ["fa33800000", "2^-24 in 32 bits"], ["fb47efffffe0000000", "the largest binary32 in 64 bits"],
    ["f97c00", "infinity"], ["f97e00", "NaN"], ["fb7ff8000000000000", "NaN"], ["f7", "undefined"], ["e0", "a simple value"],
    ["c000", "a tag"], ["9fff", "no length"], ["5f4101ff", "no length"], ["61ff", "no UTF-8"], ["63eda080", "half a character"],
    ["a2020001f6", "keys that are not sorted"], ["a201000100", "a key twice"], ["a2616100026162", "mixed keys"],
    ["a12000", "a negative key"], ["818181818181818181" + "00", "ten levels"], ["0000", "two items"], ["8200", "an item too few"], ["19ff", "an integer too short"],
  ])("refuses %s: %s", (digits) => {
    expect(() => decodeCbor(hex(digits))).toThrow(MalformedError);
  });

  it("bounds the number of items", () => {
    expect(decodeCbor(hex("83010203"), 4)).toEqual([1, 2, 3]);
    expect(() => decodeCbor(hex("83010203"), 3)).toThrow(LimitError);
    expect(decodeCbor(hex("8181818181818181" + "00"))).toBeInstanceOf(Array);
  });

  it("reads other forms of numbers and another order of keys where they may occur", () => {
    const digits = "a2616218186161fb3ff8000000000000"; // {"b": 24, "a": 1.5 in 64 bits}
    expect(() => decodeCbor(hex(digits))).toThrow(MalformedError);
    const map = decodeCbor(hex(digits), 100, false) as Map<string, unknown>;
    expect([...map]).toStrictEqual([["b", 24], ["a", new CborFloat(1.5)]]);
    expect(decodeCbor(hex("1800"), 1, false)).toBe(0);
  });
});
