/** Reading bytes in order (docs/format.md, section 1). */

import { LimitError, MalformedError, TruncatedError } from "../errors";

/** What decoding may take. */
export interface Budget {
  /** Multiply-adds. */
  readonly work: number;
  /** Bytes at a time. */
  readonly memory: number;
}

const UNBOUNDED: Budget = { work: Infinity, memory: Infinity };

/**
 * Reads bytes in order and refuses to go past their end, so that a short or a wrong file ends in an error of its own, and
 * nothing is allocated for bytes that are not there. `name` begins every message.
 */
export class Reader {
  private at = 0;
  private work: number;

  constructor(
    private readonly data: Uint8Array,
    readonly name = "data",
    private readonly budget = UNBOUNDED,
  ) {
    this.work = budget.work;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.at;
  }

  /** Bytes left to read. */
  get remaining(): number {
    return this.data.length - this.at;
  }

  /** Counts multiply-adds that are about to be done; `LimitError` where they are more than are left. */
  spend(work: number): void {
    this.work -= work;
    if (this.work < 0) {
      throw new LimitError(`${this.name}: decoding takes more work than this reader does; raise maxWork for a file that you trust`);
    }
  }

  /** `LimitError` where decoding needs more bytes at a time than it may take. */
  checkMemory(needed: number): void {
    const { memory } = this.budget;
    if (needed > memory) {
      throw new LimitError(
        `${this.name}: decoding takes ${needed} bytes of memory, this reader accepts ${memory}; raise maxBytes for a file that you trust`,
      );
    }
  }

  /** The next byte; `TruncatedError` at the end. */
  byte(): number {
    return this.take(1)[0];
  }

  /** The next `count` bytes, not copied; `TruncatedError` where fewer are left. */
  take(count: number): Uint8Array {
    if (count > this.remaining) {
      throw new TruncatedError(
        `${this.name}: expected ${count} more bytes at offset ${this.at}, only ${this.remaining} are left`,
      );
    }
    return this.data.subarray(this.at, (this.at += count));
  }

  /** All bytes left, without reading them. */
  rest(): Uint8Array {
    return this.data.subarray(this.at);
  }

  /** An unsigned little-endian integer of 16 bits. */
  uint16(): number {
    const bytes = this.take(2);
    return bytes[0] | (bytes[1] << 8);
  }

  /** An unsigned little-endian integer of 32 bits. */
  uint32(): number {
    const bytes = this.take(4);
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }

  /** A little-endian binary32. */
  float32(): number {
    const bytes = this.take(4);
    return new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
  }

  /**
   * A varint of at most `most`, exact up to 2^53. Larger ones are rounded: they are lengths and counts beyond all limits.
   * `MalformedError` for another form than the shortest, and above 2^64 - 1 or `most`.
   */
  varint(most = Infinity): number {
    let value = 0;
    const bytes = this.sevens();
    for (let i = bytes.length - 1; i >= 0; i--) value = value * 128 + (bytes[i] & 127);
    if (value > most) throw new MalformedError(`${this.name}: expected a number of at most ${most}, got ${value}`);
    return value;
  }

  /** A varint below 2^64, exactly. */
  varint64(): bigint {
    return this.sevens().reduceRight((value, byte) => (value << 7n) | BigInt(byte & 127), 0n);
  }

  /** A zigzag varint, from -2^63 to 2^63 - 1. */
  zigzag(): bigint {
    const value = this.varint64();
    return (value >> 1n) ^ -(value & 1n);
  }

  /** `MalformedError` unless everything has been read. */
  end(): void {
    if (this.remaining > 0) throw new MalformedError(`${this.name}: ${this.remaining} bytes are left over after its end`);
  }

  /** The bytes of a varint. */
  private sevens(): Uint8Array {
    const { data, at } = this;
    let end = at;
    while (end < data.length && data[end] >= 128 && end < at + 10) end++;
    const bytes = this.take(end + 1 - at), length = bytes.length;
    if (length > 10 || (length === 10 && bytes[9] > 1)) {
      throw new MalformedError(`${this.name}: the varint before offset ${this.at} is above 2^64 - 1`);
    }
    if (length > 1 && bytes[length - 1] === 0) {
      throw new MalformedError(`${this.name}: the varint before offset ${this.at} is not the shortest`);
    }
    return bytes;
  }
}
