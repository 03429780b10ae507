/** The `.sinr` file: magic, version, header, sections and checksums (docs/format.md, sections 2 and 3). */

import { ChecksumError, type FormatError, MalformedError, NotSinrError, TruncatedError, UnknownIdError, VersionError, LimitError } from "../errors";
import type { DType, Entry } from "../tensor";
import { Reader } from "./bytes";
import { type Cbor, type CborMap, decodeCbor } from "./cbor";
import { crc32 } from "./crc32";
import { DEFAULT_LIMITS, type Limits } from "./limits";

/** Kinds of content: the field of a signal; a state dict; a base, which the fields of many signals share. */
export const SIGNAL = 0, STATE = 1, BASE = 2;

/** Dtypes of tensors by their code. */
export const DTYPES: readonly DType[] = [
  "float32", "float16", "bfloat16", "float64", "complex64", "complex128", "bool",
  "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
];

export interface Header {
  readonly kind: 0 | 1 | 2;
  /** What a network is and what it represents; kind 0 has both, kind 2 a field, and kind 1 may have a field. */
  readonly field?: Cbor;
  readonly signal?: Cbor;
  /** The tensors of a state dict, in the order of the records; none in other kinds. */
  readonly manifest: readonly Entry[];
  /** In 1/100 dB, as the encoder measured it. */
  readonly quality?: number;
  readonly extra?: CborMap;
  /** The name of the base that a signal needs, 16 bytes. */
  readonly base?: Uint8Array;
  /** Samples of a patch by axis; of a base, empty where there are none. */
  readonly patch: readonly number[];
  /** Planes of last bits for each part, 0 for none. */
  readonly planes: number;
  /** Whether the samples are those of the evaluation by integers. */
  readonly exact: boolean;
  /** Bytes of the sections, without checksums. */
  readonly lengths: readonly number[];
  /** Offset of the first section, and the size of the whole file. */
  readonly headerBytes: number;
  readonly fileBytes: number;
}

/** A file: its header and its sections, of which the last ones may be missing where that is allowed. */
export interface Contents {
  readonly header: Header;
  readonly sections: readonly Uint8Array[];
}

const MAGIC = Uint8Array.of(0x89, 0x53, 0x49, 0x4e, 0x52, 0x0d, 0x0a, 0x1a);
const VERSION = 1;
const MAX_QUALITY = 65535, MAX_PLANES = 15, MAX_NAME = 1024, MAX_DIMS = 16, NAME_BYTES = 16;
const [KIND, FIELD, SIGNAL_KEY, TENSORS, QUALITY, SECTIONS, EXTRA, BASE_KEY, PLANES, EXACT] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/**
 * Splits a file into header and sections, and checks all that needs no decoding, in the order of section 8: any
 * `FormatError`. With `partial`, bytes may be missing at the end, and only whole sections are returned.
 */
export function readFile(data: Uint8Array, limits: Limits = DEFAULT_LIMITS, partial = false): Contents {
  limits.check("maxFileBytes", data.length);
  const header = readHeader(data, limits), { fileBytes, headerBytes } = header;
  limits.check("maxFileBytes", fileBytes);
  if (data.length < fileBytes && !partial) {
    throw new TruncatedError(`the file ends after ${data.length} bytes; its header declares ${fileBytes}`);
  }
  if (data.length > fileBytes) {
    throw new MalformedError(`${data.length - fileBytes} bytes follow the last section; expected none`);
  }
  const start = headerChecksum(data, header), reader = new Reader(data.subarray(headerBytes), "file");
  const sections: Uint8Array[] = [];
  for (const length of header.lengths) {
    if (reader.remaining < length + 4) break;
    sections.push(readSection(reader.take(length + 4), start, sections.length));
  }
  return { header, sections };
}

/** A section from its bytes and its checksum, which continues from that of the header; `ChecksumError` for another one. */
export function readSection(data: Uint8Array, start: number, number: number): Uint8Array {
  const reader = new Reader(data, "section"), section = reader.take(data.length - 4);
  if (reader.uint32() !== crc32(section, start)) {
    throw new ChecksumError(`the checksum of section ${number} does not match; the file is damaged`);
  }
  return section;
}

/** The checksum of the header with which a file begins. */
export function headerChecksum(data: Uint8Array, { headerBytes }: Header): number {
  return crc32(data.subarray(0, headerBytes - 4));
}

/** The header of a file, from its bytes or a beginning that holds the header; errors as of `readFile`. */
export function readHeader(data: Uint8Array, limits: Limits = DEFAULT_LIMITS): Header {
  checkMagic(data);
  const reader = new Reader(data, "header");
  reader.take(MAGIC.length);
  const version = reader.byte();
  if (version !== VERSION) throw new VersionError(`format version ${version}; this reader knows version ${VERSION}`);
  const length = reader.varint();
  limits.check("maxHeaderBytes", length);
  const cbor = reader.take(length), checksum = crc32(data.subarray(0, reader.position));
  if (reader.uint32() !== checksum) throw new ChecksumError("the header's checksum does not match; the file is damaged");
  return parse(decodeCbor(cbor), limits, reader.position);
}

function checkMagic(data: Uint8Array): void {
  const wrong = MAGIC.findIndex((byte, i) => i < data.length && data[i] !== byte);
  if (wrong < 0 && data.length >= MAGIC.length) return;
  throw magicError(data, wrong);
}

function magicError(data: Uint8Array, wrong: number): FormatError {
  if (wrong < 0) return new TruncatedError(`the file ends after ${data.length} bytes, inside the magic bytes`);
  // The letters are right, but the first byte lost a bit or the end of a line was changed.
  if (wrong > 4 || (data[0] === 0x09 && MAGIC.slice(1, 5).every((byte, i) => data[i + 1] === byte))) {
    return new NotSinrError("the file was damaged by a transfer in text mode; transfer it as binary");
  }
  return new NotSinrError("not a .sinr file: it does not start with the magic bytes");
}

/** The header of a CBOR value, whose item ends `headerBytes` into the file, checksum included. */
function parse(items: Cbor, limits: Limits, headerBytes: number): Header {
  if (!(items instanceof Map)) throw new MalformedError("the header is not a map");
  for (const [key, value] of items as CborMap) {
    if (typeof key !== "number" || key > EXACT) throw new UnknownIdError(`unknown header key ${key}; the last one known is ${EXACT}`);
    if (value === null) throw new MalformedError(`key ${key} of the header is null; what is not there is left out`);
  }
  const map: CborMap = items, kind = kindOf(map), base = map.get(BASE_KEY);
  const planes = map.get(PLANES) ?? 0, quality = map.get(QUALITY), extra = map.get(EXTRA), lengths = map.get(SECTIONS);
  if (map.has(PLANES) && !(isWhole(planes) && planes >= 1 && planes <= MAX_PLANES && kind === SIGNAL && !base)) {
    throw new MalformedError(`only a file of kind 0 without a base has planes, 1..${MAX_PLANES} of them`);
  }
  const arithmetic = map.get(EXACT);
  if (arithmetic !== undefined) checkArithmetic(arithmetic, kind);
  if (quality !== undefined && !(isWhole(quality) && quality <= MAX_QUALITY)) {
    throw new MalformedError(`the quality is not an integer in 0..${MAX_QUALITY}`);
  }
  if (extra !== undefined && !(extra instanceof Map && extra.size > 0)) throw new MalformedError("extra is not a map with entries");
  if (!Array.isArray(lengths) || !lengths.every(isWhole)) {
    throw new MalformedError("the section lengths are not a list of non-negative integers");
  }
  limits.check("maxSections", lengths.length);
  const sizes = lengths.map(Number);
  return {
    kind,
    field: map.get(FIELD),
    signal: map.get(SIGNAL_KEY),
    manifest: manifestOf(map.get(TENSORS) ?? [], limits),
    quality: quality as number | undefined,
    extra: extra as CborMap | undefined,
    base: kind === SIGNAL ? (base as Uint8Array | undefined) : undefined,
    patch: kind === BASE ? (base as number[]) : [],
    planes: Number(planes),
    exact: arithmetic !== undefined,
    lengths: sizes,
    headerBytes,
    fileBytes: sizes.reduce((sum, length) => sum + length + 4, headerBytes),
  };
}

/** Refuses an arithmetic that is not known, and one where there is no signal. */
function checkArithmetic(arithmetic: Cbor, kind: Header["kind"]): void {
  if (kind !== SIGNAL || !isWhole(arithmetic) || arithmetic < 1) {
    throw new MalformedError("only a file of kind 0 names an arithmetic, by an integer from 1 on");
  }
  if (arithmetic > 1) throw new UnknownIdError(`unknown arithmetic ${arithmetic}; this reader knows 1`);
}

/** The kind of content; an error for a header without what its kind has, or with what it has not. */
function kindOf(map: CborMap): Header["kind"] {
  const kind = map.get(KIND), base = map.get(BASE_KEY), tensors = map.get(TENSORS);
  const hasField = map.has(FIELD), hasSignal = map.has(SIGNAL_KEY);
  if (kind === undefined || !isWhole(kind)) throw new MalformedError("the header does not state the kind of its content");
  if (kind === SIGNAL) {
    if (!hasField || !hasSignal || tensors !== undefined) {
      throw new MalformedError("a file of kind 0 has a field and a signal, and no tensor manifest");
    }
    if (base !== undefined && !(base instanceof Uint8Array && base.length === NAME_BYTES)) {
      throw new MalformedError(`a base is named by ${NAME_BYTES} bytes`);
    }
  } else if (kind === STATE) {
    if (!Array.isArray(tensors) || tensors.length === 0) {
      throw new MalformedError("a file of kind 1 has a tensor manifest with at least one entry");
    }
    if (hasSignal || base !== undefined) throw new MalformedError("a file of kind 1 has neither a signal nor a base");
  } else if (kind === BASE) {
    if (!(Array.isArray(base) && base.length <= MAX_DIMS && base.every((n) => isWhole(n) && n > 0))) {
      throw new MalformedError("a file of kind 2 states the samples of a patch by axis");
    }
    if (!hasField || hasSignal || tensors !== undefined) {
      throw new MalformedError("a file of kind 2 has a field, and neither a signal nor a tensor manifest");
    }
  } else {
    throw new UnknownIdError(`unknown kind of content ${kind}; expected 0 (field), 1 (state dict) or 2 (base)`);
  }
  return kind;
}

/** The tensors of a manifest: [characters shared with the name before, the rest, dtype, *shape] each. */
function manifestOf(entries: Cbor, limits: Limits): Entry[] {
  if (!Array.isArray(entries)) throw new MalformedError("the tensor manifest is not a list");
  limits.check("maxTensors", entries.length);
  const manifest: Entry[] = [], names = new Set<string>();
  let before: string[] = [], params = 0;
  for (const entry of entries as readonly Cbor[]) {
    const [shared, rest, code, ...shape] = Array.isArray(entry) ? (entry as readonly Cbor[]) : [];
    if (!isWhole(shared) || typeof rest !== "string" || !isWhole(code) || !shape.every(isWhole) || shape.length > MAX_DIMS) {
      throw new MalformedError(`an entry of the manifest is not [shared, text, dtype, *shape] with at most ${MAX_DIMS} dimensions`);
    }
    const common = Number(shared), last = [...rest];
    // Names are counted in characters, which JavaScript's strings do not.
    if (common > before.length || (common < before.length && before[common] === last[0])) {
      throw new MalformedError("the characters that a name shares with the one before are not as many as there are");
    }
    if (code >= DTYPES.length) throw new UnknownIdError(`unknown dtype code ${code}; the last one known is ${DTYPES.length - 1}`);
    before = [...before.slice(0, common), ...last];
    if (before.length > MAX_NAME) throw new LimitError(`a tensor name has ${before.length} characters; the format allows ${MAX_NAME}`);
    const name = before.join(""), sizes = shape.map(Number);
    if (names.has(name)) throw new MalformedError(`two tensors are named ${JSON.stringify(name)}`);
    names.add(name);
    params += sizes.reduce((product, length) => product * Math.max(length, 1), 1);
    limits.check("maxParams", params);
    manifest.push({ name, shape: sizes, dtype: DTYPES[Number(code)] });
  }
  return manifest;
}

/** Whether a value is an unsigned integer. */
function isWhole(value: Cbor | undefined): value is number | bigint {
  return (typeof value === "number" || typeof value === "bigint") && value >= 0;
}
