/** Networks that the files of many signals share (docs/format.md, section 11). */

import { Reader } from "./container/bytes";
import { type Cbor, codedValues } from "./container/cbor";
import { crc32 } from "./container/crc32";
import { BASE, type Header, readFile } from "./container/format";
import type { Limits } from "./container/limits";
import { sha256 } from "./container/sha256";
import { decodeRecord } from "./coding/records";
import { Statistics } from "./coding/statistics";
import { InputError, MalformedError } from "./errors";
import type { Field } from "./fields/field";
import { besideFromHeader, Modulated, type Shared, sharedFromHeader } from "./fields/modulated";
import { type Entry, type Params, sizeOf } from "./tensor";

const NAME_BYTES = 16;
const MOST_STEPS = 64;
const KEYS = [0, 1, 5, 7]; // kind, field, sections and patch: what the name is made of

/** A network that files name. */
export interface Base {
  readonly header: Header;
  /** The first bytes of a SHA-256. */
  readonly name: Uint8Array;
  readonly network: Shared;
  readonly params: Params;
  /** Of a network with latents. */
  readonly statistics: Statistics | undefined;
}

/** The base in the bytes of its file; `InputError` where that is another one, any `FormatError`. */
export function readBase(bytes: Uint8Array, limits: Limits): Base {
  const { header, sections } = readFile(bytes, limits), own = limits.ofFile(header.fileBytes);
  if (header.kind !== BASE) throw new InputError("holds no base");
  const network = sharedFromHeader(header.field, own.bound("maxParams")), latents = network instanceof Modulated ? network.latents : 0;
  const { patch } = header, inputs = network instanceof Modulated ? network.mlp.inputs : network.inputs;
  if (patch.length > 0 && (patch.length !== inputs || latents === 0)) {
    throw new MalformedError("the patch of modulations has a length for every coordinate, or there is none");
  }
  if (sections.length < 1 || sections.length > 2) throw new MalformedError(`expected one or two sections, found ${sections.length}`);
  if (sections[1]?.length === 0) throw new MalformedError("an empty section of rates is left out, not written");
  own.checkTensors(network.parameters);
  const reader = new Reader(sections[0], "base", { work: own.bound("maxWork"), memory: own.bound("maxBytes") });
  const params = new Map(network.parameters.map(({ name, shape, dtype }) => [name, decodeRecord(reader, shape, dtype)]));
  const statistics = latents > 0 ? Statistics.read(reader, latents) : undefined;
  reader.end();
  const adapted: readonly Entry[] = latents > 0 ? [{ name: "latents", shape: [latents], dtype: "float32" }] : network.parameters;
  if (sections.length > 1) checkRates(sections[1], adapted, own);
  return { header, name: nameOf(bytes, sections[0]), network, params, statistics };
}

/** The base that a file needs, from that base's file; undefined where it needs none, `InputError` for another one. */
export function baseFor(header: Header, bytes: Uint8Array | undefined, limits: Limits): Base | undefined {
  if (header.base === undefined) return undefined;
  const needed = hexadecimal(header.base);
  if (bytes === undefined) throw new InputError(`needs the base ${needed}; give its file as base`);
  const found = readBase(bytes, limits), name = hexadecimal(found.name);
  if (name !== needed) throw new InputError(`needs the base ${needed}, but the one given is ${name}`);
  return found;
}

/** The field of a file that needs a base. */
export function fieldBeside({ network, header, params }: Base, field: Cbor | undefined, maxParams: number): Field {
  return besideFromHeader(field, network, header.field, params, header.patch, maxParams);
}

export function hexadecimal(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The name of a base: the hash of the file that it would be without rates, quality and extra. */
function nameOf(bytes: Uint8Array, section: Uint8Array): Uint8Array {
  const reader = new Reader(bytes);
  reader.take(9);
  const length = reader.varint(), values = codedValues(reader.take(length));
  const cbor = [0xa0 + KEYS.length];
  for (const key of KEYS) cbor.push(key, ...(key === 5 ? [0x81, ...cborLength(section.length)] : values.get(key)!));
  const head = Uint8Array.from([...bytes.subarray(0, 9), ...varint(cbor.length), ...cbor]), start = crc32(head);
  const file = [...head, ...littleEndian(start), ...section, ...littleEndian(crc32(section, start))];
  return sha256(Uint8Array.from(file)).subarray(0, NAME_BYTES);
}

function littleEndian(word: number): number[] {
  return [0, 8, 16, 24].map((shift) => (word >>> shift) & 255);
}

/** An unsigned integer below 2^32 in CBOR. */
function cborLength(n: number): number[] {
  if (n < 24) return [n];
  if (n < 2 ** 8) return [24, n];
  return n < 2 ** 16 ? [25, n >> 8, n & 255] : [26, n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255];
}

function varint(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...varint(Math.floor(n / 128))];
}

/** What encoders read of a base: steps, and a rate for each adapted tensor or each of its numbers; any `FormatError`. */
function checkRates(section: Uint8Array, adapted: readonly Entry[], limits: Limits): void {
  const reader = new Reader(section, "rates"), steps = reader.varint(MOST_STEPS), each = reader.byte();
  if (steps < 1 || each > 1) throw new MalformedError("rates: expected a number of steps, and 0 or 1");
  const rates = adapted.map(({ name, shape, dtype }) => ({ name, dtype, shape: [steps, ...shape.map((n) => (each === 1 ? n : 1))] }));
  limits.check("maxParams", rates.reduce((sum, { shape }) => sum + sizeOf(shape), 0));
  limits.checkTensors(rates);
  for (const { shape } of rates) decodeRecord(reader, shape, "float32");
  reader.end();
}
