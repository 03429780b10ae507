/** Files at an address, loaded as far as they are needed (docs/format.md, section 2: blocks and progressive files). */

import { withBrotli } from "./coding/inflate";
import { type Header, headerChecksum, readHeader, readSection, SIGNAL } from "./container/format";
import { Limits } from "./container/limits";
import { open, type Opened, openSignal, type OpenOptions, type OptionsOf, SignalFile } from "./decoding";
import { InputError, LimitError, MalformedError, TruncatedError } from "./errors";
import { type AnySpec, partsIn } from "./signals/registry";

const FIRST = 2 ** 16; // bytes of the first request
const NEAR = 2 ** 12; // bytes between two ranges that are one request

/** How an address is read. */
export interface UrlOptions extends OpenOptions {
  /** What is used instead of the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Bytes of the first request. Default: 65,536, more than most files have. */
  readonly firstBytes?: number;
  /** Headers and the like of all requests. */
  readonly request?: RequestInit;
}

/** A file at an address. */
export interface Remote<F extends Opened = Opened> {
  readonly file: F;
  /** Loads what a rendering with these options needs and is not there; the others of the file's networks stay away. */
  load(options?: F extends SignalFile<infer S> ? OptionsOf<S> : object): Promise<void>;
}

/**
 * Opens a file at an address. Of a signal in blocks, networks are loaded when `load` asks for them, where the server
 * knows ranges; everything else is loaded at once.
 *
 * @throws InputError for an answer that is none, FormatError as of `open`
 */
export async function openUrl(url: string | URL, options: UrlOptions = {}): Promise<Remote> {
  const limits = new Limits(options.limits), source = new Source(url, options, limits);
  let data = await source.range(0, options.firstBytes ?? FIRST);
  if (!source.hasRanges) return whole(data, options);
  let header = headerIn(data, limits);
  while (header === undefined) {
    if (data.length >= source.size) throw new TruncatedError("the file ends inside its header");
    data = joined([data, await source.range(data.length, 2 * data.length)]);
    header = headerIn(data, limits);
  }
  limits.check("maxFileBytes", header.fileBytes);
  if (source.size < header.fileBytes && !options.partial) {
    throw new TruncatedError(`the file ends after ${source.size} bytes; its header declares ${header.fileBytes}`);
  }
  if (source.size > header.fileBytes) throw new MalformedError(`${source.size - header.fileBytes} bytes follow the last section; expected none`);
  if (header.kind !== SIGNAL || options.partial || data.length >= header.fileBytes || partsIn(header.signal!) === 1) {
    return whole(joined([data, await source.range(data.length, source.size)]), options);
  }
  return new Parts(source, header, data).open(options);
}

/**
 * Opens a file at an address again and again while it arrives: first without planes of last bits, then with one more
 * plane each time. A file that is not progressive is opened once.
 *
 * @throws InputError for an answer that is none, FormatError as of `open`
 */
export async function* openInSteps(url: string | URL, options: UrlOptions = {}): AsyncGenerator<Opened, void, void> {
  const limits = new Limits(options.limits), chunks: Uint8Array[] = [];
  let size = 0, header: Header | undefined, ends: number[] = [];
  for await (const chunk of new Source(url, options, limits).chunks()) {
    chunks.push(chunk);
    size += chunk.length;
    if (header === undefined && (header = headerIn(joined(chunks), limits)) !== undefined) ends = endsOf(header);
    let reached = 0;
    while (ends.length > 1 && size >= ends[0]) reached = ends.shift()!;
    if (reached > 0) yield withBrotli(() => open(joined(chunks), { ...options, partial: true }));
  }
  yield withBrotli(() => open(joined(chunks), options));
}

/** Where a file can be cut: after the sections of records and the side section, and after each plane of all networks. */
function endsOf(header: Header): number[] {
  const parts = header.kind === SIGNAL ? partsIn(header.signal!) : 1, first = header.lengths.length - header.planes * parts;
  const ends: number[] = [];
  header.lengths.reduce((at, length, number) => {
    const end = at + length + 4;
    if (number + 1 >= first && (number + 1 - first) % parts === 0) ends.push(end);
    return end;
  }, header.headerBytes);
  return ends;
}

async function whole(data: Uint8Array, options: OpenOptions): Promise<Remote> {
  return { file: await withBrotli(() => open(data, options)), load: async () => {} };
}

/** The header of a beginning; undefined where that is too short. */
function headerIn(data: Uint8Array, limits: Limits): Header | undefined {
  try {
    return readHeader(data, limits);
  } catch (error) {
    if (error instanceof TruncatedError) return undefined;
    throw error;
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** The bytes at an address. */
class Source {
  /** Size of the file, and whether the server knows ranges; after the first request. */
  size = 0;
  hasRanges = true;

  constructor(private readonly url: string | URL, private readonly options: UrlOptions, private readonly limits: Limits) {}

  /** Bytes first .. stop - 1, or fewer at the end of the file; the whole file where the server knows no ranges. */
  async range(first: number, stop: number): Promise<Uint8Array> {
    if (this.size > 0) stop = Math.min(stop, this.size);
    if (stop <= first) return new Uint8Array();
    const answer = await this.answer({ Range: `bytes=${first}-${stop - 1}` });
    const [, size] = /^bytes [0-9]+-[0-9]+\/([0-9]+)$/.exec(answer.headers.get("Content-Range") ?? "") ?? [];
    if (answer.status === 206 && size !== undefined) {
      this.size = Number(size);
      const data = new Uint8Array(await answer.arrayBuffer());
      if (data.length !== Math.min(stop, this.size) - first) throw new InputError(`${this.url}: the server sent another range`);
      return data;
    }
    if (first > 0) throw new InputError(`${this.url}: the server knows ranges no more`);
    this.hasRanges = false;
    return joined(await all(this.bytes(answer)));
  }

  /** The whole file as it arrives. */
  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    yield* this.bytes(await this.answer({}));
  }

  private async answer(headers: Record<string, string>): Promise<Response> {
    const { fetch: get = fetch, request } = this.options, given = new Headers(request?.headers);
    for (const [name, value] of Object.entries(headers)) given.set(name, value);
    const answer = await get(this.url, { ...request, headers: given });
    if (!answer.ok) throw new InputError(`${this.url}: the server answers ${answer.status}`);
    return answer;
  }

  /** The body of an answer, no longer than the limit. */
  private async *bytes(answer: Response): AsyncGenerator<Uint8Array, void, void> {
    const most = this.limits.bound("maxFileBytes"), reader = answer.body?.getReader();
    for (let size = 0; reader !== undefined;) {
      const { done, value } = await reader.read();
      if (done) return;
      size += value.length;
      if (size > most) {
        await reader.cancel();
        throw new LimitError(`${this.url}: more than ${most} bytes for maxFileBytes`);
      }
      yield value;
    }
  }
}

/** A file in blocks whose sections are loaded one by one. */
class Parts {
  private readonly starts: number[] = [];
  private readonly checksum: number;

  constructor(private readonly source: Source, private readonly header: Header, private readonly beginning: Uint8Array) {
    this.checksum = headerChecksum(beginning, header);
    header.lengths.reduce((at, length) => {
      this.starts.push(at);
      return at + length + 4;
    }, header.headerBytes);
  }

  async open(options: OpenOptions): Promise<Remote> {
    const { header } = this, parts = partsIn(header.signal!), sections = new Array<Uint8Array | undefined>(header.lengths.length);
    // The side section, if there is one, lies behind the records.
    for (const [number, bytes] of await this.sections(parts < header.lengths.length ? [parts] : [])) sections[number] = bytes;
    const file = await withBrotli(() => openSignal(header, sections, options)) as SignalFile<AnySpec>;
    const load = async (options: object = {}): Promise<void> => {
      const needed = file.sectionsOf(file.spec.partsFor(options as never)).filter((number) => !file.has(number));
      for (const [number, bytes] of await this.sections(needed)) file.load(number, bytes);
    };
    return { file: file as Opened, load };
  }

  /** Sections by number, checked; those that lie near each other in one request. */
  private async sections(numbers: readonly number[]): Promise<Map<number, Uint8Array>> {
    const { starts, header, beginning, checksum } = this, found = new Map<number, Uint8Array>();
    const endOf = (number: number): number => starts[number] + header.lengths[number] + 4;
    const groups: number[][] = [];
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const last = groups.at(-1);
      if (last !== undefined && starts[number] - endOf(last.at(-1)!) <= NEAR) last.push(number);
      else groups.push([number]);
    }
    await Promise.all(groups.map(async (group) => {
      const first = starts[group[0]], stop = endOf(group.at(-1)!);
      const data = stop <= beginning.length ? beginning.subarray(first, stop) : await this.source.range(first, stop);
      for (const number of group) {
        found.set(number, readSection(data.subarray(starts[number] - first, endOf(number) - first), checksum, number));
      }
    }));
    return found;
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
