import { describe, expect, it } from "vitest";
import { gaussian } from "../../src/coding/model";
import { checkSymbols, closeBody, openBody, RangeDecoder } from "../../src/coding/rangecoder";
import { Reader } from "../../src/container/bytes";
import { LimitError, MalformedError, TruncatedError } from "../../src/errors";
import { hex } from "../conformance";

const reader = (digits: string): Reader => new Reader(hex(digits));

describe("RangeDecoder", () => {
  it("reads the example of the format, and finds its end", () => {
    const bytes = reader("00 00 3f ff"), decoder = new RangeDecoder(bytes);
    const table = Uint32Array.of(0, 5, 15, 2 ** 20);
    expect([decoder.uniform(3), decoder.symbol(table), decoder.uniform(3)]).toEqual([0, 1, 2]);
    decoder.finish();
    expect(bytes.position).toBe(3);
  });

  it("reads bits", () => {
    const decoder = new RangeDecoder(reader("80"));
    expect([decoder.bit(1, 2), decoder.bit(1, 2), decoder.bit(1, 2)]).toEqual([1, 0, 0]);
    decoder.finish();
  });

  it("reads many symbols of a model", () => {
    const bytes = reader("96 dd 37"), symbols = new Float64Array(8), decoder = new RangeDecoder(bytes);
    decoder.symbols(gaussian(0, 30, 5, 2), symbols);
    decoder.finish();
    expect(Array.from(symbols, (symbol) => symbol - 2)).toEqual([0, 1, -1, 0, 2, 0, -2, 1]);
    expect(bytes.remaining).toBe(0);
  });

  it("refuses streams that end early or leave their model", () => {
    expect(() => new RangeDecoder(reader("")).finish()).toThrow(TruncatedError);
    const short = new RangeDecoder(reader("00"));
    expect(() => { for (;;) short.uniform(2 ** 20); }).toThrow(TruncatedError);
    const outside = new RangeDecoder(reader("ff ff ff ff ff ff ff ff"));
    expect(() => { outside.uniform(3); outside.finish(); }).toThrow(MalformedError);
  });
});

describe("bodies", () => {
  it("state their length where they have many symbols", () => {
    const bytes = reader("02 00 00 00"), body = openBody(bytes, 4097);
    expect([body.remaining, bytes.remaining]).toEqual([2, 1]);
    expect(() => closeBody(bytes, body)).toThrow(MalformedError);
    expect(openBody(bytes, 4096)).toBe(bytes);
  });

  it("hold a bounded number of symbols", () => {
    checkSymbols(reader(""), 1024 * 5, 1);
    expect(() => checkSymbols(reader(""), 1024 * 5 + 1, 1)).toThrow(LimitError);
    expect(() => openBody(reader("01 00"), 5121)).toThrow(LimitError);
  });
});
