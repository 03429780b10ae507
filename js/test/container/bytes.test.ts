import { describe, expect, it } from "vitest";
import { Reader } from "../../src/container/bytes";
import { crc32 } from "../../src/container/crc32";
import { LimitError, MalformedError, TruncatedError } from "../../src/errors";

const reader = (...bytes: number[]): Reader => new Reader(Uint8Array.from(bytes));
const LARGEST = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];

describe("Reader", () => {
  it("reads varints", () => {
    expect(reader(0).varint()).toBe(0);
    expect(reader(0x80, 1).varint()).toBe(128);
    expect(reader(...[255, 255, 255, 255, 255, 255, 255, 15]).varint()).toBe(2 ** 53 - 1);
    expect(reader(...LARGEST).varint64()).toBe(2n ** 64n - 1n);
    expect(reader(...LARGEST).varint()).toBe(2 ** 64);
  });

  it("reads signed numbers", () => {
    expect([0, 1, 2, 3, 4].map((byte) => reader(byte).zigzag())).toEqual([0n, -1n, 1n, -2n, 2n]);
    expect(reader(...LARGEST).zigzag()).toBe(-(2n ** 63n));
    expect(reader(254, ...LARGEST.slice(1)).zigzag()).toBe(2n ** 63n - 1n);
  });

  it.each([[[0x80, 0]], [[...LARGEST.slice(0, 9), 2]], [[...LARGEST.slice(0, 9), 129, 0]]])("refuses the varint %j", (bytes) => {
    expect(() => reader(...bytes).varint()).toThrow(MalformedError);
    expect(() => reader(...bytes).varint64()).toThrow(MalformedError);
  });

  it("stays within its bytes and bounds", () => {
    expect(() => reader(0x80).varint()).toThrow(TruncatedError);
    expect(() => reader(1, 2).take(3)).toThrow(TruncatedError);
    expect(() => reader(5).varint(4)).toThrow(MalformedError);
    expect(() => reader(5).end()).toThrow(MalformedError);
    const bounded = new Reader(new Uint8Array(0), "data", { work: 10, memory: 10 });
    bounded.spend(10);
    bounded.checkMemory(10);
    expect(() => bounded.spend(1)).toThrow(LimitError);
    expect(() => bounded.checkMemory(11)).toThrow(LimitError);
  });
});

it("crc32 is that of zlib, and continues", () => {
  const text = new TextEncoder().encode("123456789");
  expect(crc32(text)).toBe(0xcbf43926);
  expect(crc32(text.subarray(4), crc32(text.subarray(0, 4)))).toBe(0xcbf43926);
});
