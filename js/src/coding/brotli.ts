/**
 * A decoder of Brotli streams (RFC 7932) in bounded memory: nothing is allocated for output that is not there yet, and none
 * beyond the bytes that the caller expects.
 */

import { type FormatError, MalformedError, TruncatedError } from "../errors";
import { isWord, MAX_WORD, MIN_WORD, writeWord } from "./brotli_transforms";

/** Numbers of extra bits; the base of each code follows from the one before, beginning with a first base. */
const INSERT_BITS = [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 24];
const COPY_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 24];
const BLOCK_BITS = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 24];
const INSERT_BASES = basesOf(INSERT_BITS, 0), COPY_BASES = basesOf(COPY_BITS, 2), BLOCK_BASES = basesOf(BLOCK_BITS, 1);
/** First codes of insert and copy lengths, by the upper bits of a command. */
const INSERT_CELLS = [0, 0, 0, 0, 8, 8, 0, 16, 8, 16, 16], COPY_CELLS = [0, 8, 0, 8, 0, 8, 16, 0, 16, 8, 16];

const COMMANDS = 704, BLOCK_COUNTS = 26, LITERALS = 256;
const LENGTH_ORDER = [1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/** Prefix code of the lengths of a code of lengths: number and length, by the next four bits. */
const LENGTH_VALUES = [0, 4, 3, 2, 0, 4, 3, 1, 0, 4, 3, 2, 0, 4, 3, 5];
const LENGTH_SIZES = [2, 2, 2, 3, 2, 2, 2, 4, 2, 2, 2, 3, 2, 2, 2, 4];
const FIRST_DISTANCES = [4, 11, 15, 16];
/** Distances of the short codes: which of the last ones, and what is added. */
const SHORT_LAST = [0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];
const SHORT_ADDED = [0, 0, 0, 0, -1, 1, -2, 2, -3, 3, -1, 1, -2, 2, -3, 3];
const ROOT_BITS = 8; // of the first table of a prefix code

/**
 * A whole stream, or the first `most` + 1 bytes of a longer one. `words` gives the static dictionary.
 * `MalformedError`, `TruncatedError`: damaged, or truncated; `name` is what the message calls the stream.
 */
export function decompress(data: Uint8Array, most: number, name: string, words: () => Uint8Array): Uint8Array {
  return new Stream(data, most, name, words).decompress();
}

/** A prefix code as two levels of tables. */
type Code = Int32Array;

/** The blocks of literals, commands or distances in a meta-block. */
interface Blocks {
  readonly count: number;
  readonly types: Code | undefined;
  readonly lengths: Code | undefined;
  type: number;
  before: number;
  left: number;
}

class Stream {
  private at = 0;
  private held = 0; // bits that were fetched, the next one lowest
  private bits = 0; // how many
  private out: Uint8Array;
  private length = 0;
  private window = 0;
  private readonly distances = [...FIRST_DISTANCES];

  constructor(
    private readonly data: Uint8Array,
    private readonly most: number,
    private readonly name: string,
    private readonly words: () => Uint8Array,
  ) {
    this.out = new Uint8Array(Math.min(most + 1, 4 * data.length + 64));
  }

  decompress(): Uint8Array {
    this.window = 2 ** this.readWindow() - 16;
    for (let last = false; !last; ) {
      last = this.read(1) === 1;
      if (last && this.read(1) === 1) break;
      this.metaBlock(last);
      this.checkEnd();
      if (this.length > this.most) return this.out.subarray(0, this.most + 1);
    }
    this.align();
    this.checkEnd();
    if (this.at - this.bits / 8 < this.data.length) throw this.damaged();
    return this.out.subarray(0, this.length);
  }

  private readWindow(): number {
    if (this.read(1) === 0) return 16;
    const upper = this.read(3);
    if (upper > 0) return 17 + upper;
    const lower = this.read(3);
    if (lower === 1) throw this.damaged();
    return lower > 0 ? 8 + lower : 17;
  }

  private metaBlock(last: boolean): void {
    const nibbles = this.read(2) + 4;
    if (nibbles === 7) return this.skipMetadata();
    let size = 0;
    for (let i = 0; i < nibbles; i++) size += this.read(4) * 16 ** i;
    if (nibbles > 4 && size < 16 ** (nibbles - 1)) throw this.damaged();
    const end = this.length + size + 1;
    if (!last && this.read(1) === 1) this.copyPlain(end);
    else this.copyCoded(end);
  }

  private skipMetadata(): void {
    if (this.read(1) === 1) throw this.damaged();
    const bytes = this.read(2);
    let size = 0;
    for (let i = 0; i < bytes; i++) size += this.read(8) * 256 ** i;
    if (bytes > 1 && size < 256 ** (bytes - 1)) throw this.damaged();
    this.align();
    this.takeBytes(bytes > 0 ? size + 1 : 0);
  }

  private copyPlain(end: number): void {
    this.align();
    const bytes = this.takeBytes(end - this.length), kept = Math.min(bytes.length, this.most + 1 - this.length);
    this.reserve(this.length + kept);
    this.out.set(bytes.subarray(0, kept), this.length);
    this.length = end;
  }

  /** The data of a meta-block with prefix codes, until the output has a length. */
  private copyCoded(end: number): void {
    const literals = this.readBlocks(), commands = this.readBlocks(), copies = this.readBlocks();
    const postfix = this.read(2), direct = 16 + (this.read(4) << postfix);
    const modes = Array.from({ length: literals.count }, () => this.read(2));
    const literalMap = this.readMap(64 * literals.count), distanceMap = this.readMap(4 * copies.count);
    const literalCodes = this.readCodes(literalMap.codes, LITERALS), commandCodes = this.readCodes(commands.count, COMMANDS);
    const distanceCodes = this.readCodes(distanceMap.codes, direct + (48 << postfix));
    while (this.length < end && this.length <= this.most) {
      this.checkEnd();
      this.nextBlock(commands);
      const command = this.symbol(commandCodes[commands.type]), cell = command >> 6;
      const insert = this.lengthOf(INSERT_CELLS[cell] + ((command >> 3) & 7), INSERT_BITS, INSERT_BASES);
      const copy = this.lengthOf(COPY_CELLS[cell] + (command & 7), COPY_BITS, COPY_BASES);
      if (this.length + insert > end) throw this.damaged();
      this.insert(insert, literals, modes, literalMap.map, literalCodes);
      if (this.length === end || this.length > this.most) return;
      let code = 0;
      if (cell >= 2) {
        this.nextBlock(copies);
        code = this.symbol(distanceCodes[distanceMap.map[4 * copies.type + Math.min(copy - 2, 3)]]);
      }
      this.copy(copy, code, this.distanceOf(code, direct, postfix), end);
    }
  }

  private insert(count: number, literals: Blocks, modes: readonly number[], map: Uint8Array, codes: readonly Code[]): void {
    const stop = Math.min(count, this.most + 1 - this.length);
    this.reserve(this.length + stop);
    const { out } = this;
    for (let i = 0; i < stop; i++) {
      if ((i & 1023) === 0) this.checkEnd();
      this.nextBlock(literals);
      const at = this.length, p1 = at > 0 ? out[at - 1] : 0, p2 = at > 1 ? out[at - 2] : 0;
      const context = contextOf(modes[literals.type], p1, p2);
      out[at] = this.symbol(codes[map[64 * literals.type + context]]);
      this.length++;
    }
  }

  /** The distance of a code, below 1 where it is none. */
  private distanceOf(code: number, direct: number, postfix: number): number {
    if (code < 16) return this.distances[SHORT_LAST[code]] + SHORT_ADDED[code];
    if (code < direct) return code - 15;
    const above = code - direct, bits = 1 + (above >> (postfix + 1)), half = (above >> postfix) & 1;
    const offset = (2 + half) * 2 ** bits - 4 + this.read(bits);
    return offset * 2 ** postfix + (above & (2 ** postfix - 1)) + direct - 15;
  }

  /** Copies earlier output, or a word of the dictionary. */
  private copy(count: number, code: number, distance: number, end: number): void {
    const { distances } = this, farthest = Math.min(this.window, this.length);
    if (distance < 1) throw this.damaged();
    if (distance > farthest) return this.copyWord(count, distance - farthest - 1, end);
    if (code > 0) {
      distances.unshift(distance);
      distances.pop();
    }
    if (this.length + count > end) throw this.damaged();
    const stop = Math.min(this.length + count, this.most + 1);
    this.reserve(stop);
    const { out } = this;
    for (let at = this.length; at < stop; at++) out[at] = out[at - distance];
    this.length += count;
  }

  private copyWord(size: number, number: number, end: number): void {
    if (size < MIN_WORD || size > MAX_WORD || !isWord(size, number)) throw this.damaged();
    const word = writeWord(this.words(), size, number);
    if (this.length + word.length > end) throw this.damaged();
    const kept = Math.min(word.length, this.most + 1 - this.length);
    this.reserve(this.length + kept);
    this.out.set(word.subarray(0, kept), this.length);
    this.length += word.length;
  }

  // -- blocks, context maps and prefix codes

  private readBlocks(): Blocks {
    const count = this.readCount();
    if (count === 1) return { count, types: undefined, lengths: undefined, type: 0, before: 1, left: Infinity };
    const types = this.readCode(count + 2), lengths = this.readCode(BLOCK_COUNTS);
    return { count, types, lengths, type: 0, before: 1, left: this.blockLength(lengths) };
  }

  /** Goes on to the next block where one ends, and counts an element of it. */
  private nextBlock(blocks: Blocks): void {
    if (blocks.left === 0) {
      const { count, type, before } = blocks, code = this.symbol(blocks.types!);
      blocks.type = code === 0 ? before : code === 1 ? (type + 1) % count : code - 2;
      blocks.before = type;
      blocks.left = this.blockLength(blocks.lengths!);
    }
    blocks.left--;
  }

  private blockLength(code: Code): number {
    return this.lengthOf(this.symbol(code), BLOCK_BITS, BLOCK_BASES);
  }

  private lengthOf(code: number, bits: readonly number[], bases: readonly number[]): number {
    return bases[code] + this.read(bits[code]);
  }

  /** A number from 1 to 256. */
  private readCount(): number {
    if (this.read(1) === 0) return 1;
    const bits = this.read(3);
    return 1 + (1 << bits) + this.read(bits);
  }

  private readMap(size: number): { codes: number; map: Uint8Array } {
    const codes = this.readCount(), map = new Uint8Array(size);
    if (codes === 1) return { codes, map };
    const longest = this.read(1) === 1 ? this.read(4) + 1 : 0, code = this.readCode(codes + longest);
    for (let i = 0; i < size; ) {
      const symbol = this.symbol(code);
      if (symbol > longest) map[i++] = symbol - longest;
      else if (symbol === 0) i++;
      else i += 2 ** symbol + this.read(symbol);
      if (i > size) throw this.damaged();
    }
    if (this.read(1) === 1) moveToFront(map);
    return { codes, map };
  }

  private readCodes(count: number, symbols: number): Code[] {
    return Array.from({ length: count }, () => this.readCode(symbols));
  }

  private readCode(symbols: number): Code {
    this.checkEnd();
    const skipped = this.read(2);
    return skipped === 1 ? this.readSimpleCode(symbols) : codeOf(this.readLengths(symbols, skipped));
  }

  /** A code of one to four symbols. */
  private readSimpleCode(symbols: number): Code {
    const count = this.read(2) + 1, bits = 32 - Math.clz32(symbols - 1), lengths = new Uint8Array(symbols);
    const found = Array.from({ length: count }, () => this.read(bits));
    if (found.some((symbol) => symbol >= symbols) || new Set(found).size < count) throw this.damaged();
    const deep = count === 4 && this.read(1) === 1;
    const sizes = count === 1 ? [0] : count === 2 ? [1, 1] : count === 3 ? [1, 2, 2] : deep ? [1, 2, 3, 3] : [2, 2, 2, 2];
    found.forEach((symbol, i) => (lengths[symbol] = sizes[i]));
    return count === 1 ? new Int32Array(1 << ROOT_BITS).fill(found[0] << 4) : codeOf(lengths);
  }

  /** Lengths of the codes of all symbols. */
  private readLengths(symbols: number, skipped: number): Uint8Array {
    const code = this.readCodeOfLengths(skipped), lengths = new Uint8Array(symbols);
    let space = 2 ** 15, before = 8, repeated = 0, repeatedLength = 0;
    for (let i = 0; i < symbols && space > 0; ) {
      const symbol = this.symbol(code);
      if (symbol < 16) {
        repeated = 0;
        lengths[i++] = symbol;
        if (symbol > 0) {
          before = symbol;
          space -= 2 ** 15 >> symbol;
        }
        continue;
      }
      const bits = symbol - 14, length = symbol === 16 ? before : 0, known = length === repeatedLength ? repeated : 0;
      repeatedLength = length;
      repeated = (known > 0 ? (known - 2) * 2 ** bits : 0) + this.read(bits) + 3;
      const more = repeated - known;
      if (i + more > symbols) throw this.damaged();
      lengths.fill(length, i, (i += more));
      if (length > 0) space -= more * (2 ** 15 >> length);
    }
    if (space !== 0) throw this.damaged();
    return lengths;
  }

  private readCodeOfLengths(skipped: number): Code {
    const lengths = new Uint8Array(LENGTH_ORDER.length);
    let space = 32, used = 0, last = 0;
    for (let i = skipped; i < LENGTH_ORDER.length && space > 0; i++) {
      const next = this.peek(4), length = LENGTH_VALUES[next];
      this.drop(LENGTH_SIZES[next]);
      lengths[LENGTH_ORDER[i]] = length;
      if (length > 0) {
        space -= 32 >> length;
        used++;
        last = LENGTH_ORDER[i];
      }
    }
    if (used === 1) return new Int32Array(1 << ROOT_BITS).fill(last << 4);
    if (space !== 0) throw this.damaged();
    return codeOf(lengths);
  }

  // -- bits

  /** The next bits, at most 24, which stay; zeros beyond the end. */
  private peek(bits: number): number {
    while (this.bits < bits) {
      this.held |= (this.at < this.data.length ? this.data[this.at] : 0) << this.bits;
      this.at++;
      this.bits += 8;
    }
    return this.held & ((1 << bits) - 1);
  }

  private drop(bits: number): void {
    this.held >>>= bits;
    this.bits -= bits;
  }

  private read(bits: number): number {
    const value = this.peek(bits);
    this.drop(bits);
    return value;
  }

  private symbol(code: Code): number {
    const next = this.peek(15), first = code[next & ((1 << ROOT_BITS) - 1)];
    const entry = first >= 0 ? first : code[(~first >> 4) + ((next >> ROOT_BITS) & ((1 << (~first & 15)) - 1))];
    this.drop(entry & 15);
    return entry >> 4;
  }

  /** Moves to the next whole byte; bits before it are 0. */
  private align(): void {
    if (this.read(this.bits & 7) !== 0) throw this.damaged();
  }

  /** Bytes behind a whole byte. */
  private takeBytes(count: number): Uint8Array {
    const start = this.at - this.bits / 8;
    if (start + count > this.data.length) throw this.truncated();
    this.at = start + count;
    this.held = this.bits = 0;
    return this.data.subarray(start, this.at);
  }

  /** `TruncatedError` where bits beyond the end were read. */
  private checkEnd(): void {
    if (this.isBeyond()) throw this.truncated();
  }

  private isBeyond(): boolean {
    return 8 * this.at - this.bits > 8 * this.data.length;
  }

  /** Makes room for so many bytes of output. */
  private reserve(length: number): void {
    if (length <= this.out.length) return;
    const grown = new Uint8Array(Math.min(this.most + 1, Math.max(length, 2 * this.out.length)));
    grown.set(this.out.subarray(0, this.length));
    this.out = grown;
  }

  private damaged(): FormatError {
    return this.isBeyond() ? this.truncated() : new MalformedError(`${this.name}: a Brotli stream is damaged`);
  }

  private truncated(): TruncatedError {
    return new TruncatedError(`${this.name}: a Brotli stream ends early`);
  }
}

/** The table of a prefix code, from the lengths of its codes: symbol << 4 | length, or ~(second table << 4 | its bits). */
function codeOf(lengths: Uint8Array): Code {
  const codes = reversedCodes(lengths), root = 1 << ROOT_BITS, longest = new Uint8Array(root);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const prefix = codes[symbol] & (root - 1);
    longest[prefix] = Math.max(longest[prefix], lengths[symbol]);
  }
  const starts = new Int32Array(root);
  let size = root;
  for (let prefix = 0; prefix < root; prefix++) {
    if (longest[prefix] <= ROOT_BITS) continue;
    starts[prefix] = size;
    size += 1 << (longest[prefix] - ROOT_BITS);
  }
  const table = new Int32Array(size);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol], code = codes[symbol], entry = (symbol << 4) | length;
    if (length === 0) continue;
    if (length <= ROOT_BITS) {
      for (let i = code; i < root; i += 1 << length) table[i] = entry;
      continue;
    }
    const prefix = code & (root - 1), start = starts[prefix], bits = longest[prefix] - ROOT_BITS;
    table[prefix] = ~((start << 4) | bits);
    for (let i = code >> ROOT_BITS; i < 1 << bits; i += 1 << (length - ROOT_BITS)) table[start + i] = entry;
  }
  return table;
}

/** The codes of symbols, with the first bit lowest. */
function reversedCodes(lengths: Uint8Array): Uint16Array {
  const next = new Uint16Array(17), codes = new Uint16Array(lengths.length);
  for (const length of lengths) if (length > 0) next[length + 1]++;
  for (let length = 1, code = 0; length < 17; length++) next[length] = code = (code + next[length]) << 1;
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    for (let bit = 0, code = lengths[symbol] > 0 ? next[lengths[symbol]]++ : 0; bit < lengths[symbol]; bit++, code >>= 1) {
      codes[symbol] = (codes[symbol] << 1) | (code & 1);
    }
  }
  return codes;
}

/** Turns positions in a list, whose entries move to its front when they are used, into the entries. */
function moveToFront(map: Uint8Array): void {
  const list = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (let i = 0; i < map.length; i++) {
    const place = map[i], value = list[place];
    map[i] = value;
    list.copyWithin(1, 0, place);
    list[0] = value;
  }
}

/** The first base, and those behind it: each is the one before and the numbers that its extra bits count. */
function basesOf(bits: readonly number[], first: number): number[] {
  let next = first;
  return bits.map((count) => (next += 2 ** count) - 2 ** count);
}

/** Classes of bytes for the contexts of literals of text and of signed numbers. */
const TEXT_LAST = textClasses(), TEXT_BEFORE = Uint8Array.from({ length: 256 }, (_, byte) => classBefore(byte));
const SIZES = Uint8Array.from({ length: 256 }, (_, byte) => [1, 16, 64, 128, 192, 240, 255].filter((least) => byte >= least).length);

/** The context of a literal behind the bytes p2, p1, by the mode of its block. */
function contextOf(mode: number, p1: number, p2: number): number {
  if (mode === 0) return p1 & 63;
  if (mode === 1) return p1 >> 2;
  return mode === 2 ? TEXT_LAST[p1] | TEXT_BEFORE[p2] : (SIZES[p1] << 3) | SIZES[p2];
}

function classBefore(byte: number): number {
  if (byte >= 128) return byte < 224 ? 0 : 2;
  const character = String.fromCharCode(byte);
  return /[a-z]/.test(character) ? 3 : /[A-Z0-9]/.test(character) ? 2 : byte > 32 && byte < 127 ? 1 : 0;
}

function textClasses(): Uint8Array {
  const classes = new Uint8Array(256);
  const set = (characters: string, value: number): void => {
    for (const character of characters) classes[character.charCodeAt(0)] = value;
  };
  for (let byte = 33; byte < 127; byte++) classes[byte] = 12;
  set("\t\n\r", 4);
  set(" ", 8);
  set("\"'", 16);
  set("%", 20);
  set("([<{", 24);
  set(")]>}", 28);
  set(",:;", 32);
  set(".", 36);
  set("=", 40);
  set("0123456789", 44);
  set("AEIOU", 48);
  set("BCDFGHJKLMNPQRSTVWXYZ", 52);
  set("aeiou", 56);
  set("bcdfghjklmnpqrstvwxyz", 60);
  for (let byte = 128; byte < 256; byte++) classes[byte] = (byte < 192 ? 0 : 2) + (byte & 1);
  return classes;
}
