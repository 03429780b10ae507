/** Opening of files and rendering of what they hold: the public interface. */

import { type Base, baseFor, fieldBeside, hexadecimal, readBase } from "./bases";
import { decodeNetwork, decodingBytes } from "./weights";
import { BrotliNeededError, loadBrotli } from "./coding/inflate";
import { decodeRecords } from "./coding/records";
import { type Header, readFile, SIGNAL, STATE } from "./container/format";
import { type LimitName, Limits } from "./container/limits";
import { InputError, MalformedError, TruncatedError } from "./errors";
import { fieldFromHeader } from "./fields/families";
import type { Evaluator, Field } from "./fields/field";
import { type Control, run, runWithPauses } from "./running";
import { type Item, metadataIn, plain } from "./signals/metadata";
import type { Networks, Steps } from "./signals/networks";
import { type AnySpec, partsIn, specOf } from "./signals/registry";
import type { Description } from "./signals/spec";
import { type Entry, type Params, sizeOf } from "./tensor";

const KEPT = 256; // networks that are kept decoded; two rows of blocks have fewer below 65,536 pixels
const TILE = 2048; // positions at once
const LEAST_TILE = 16;
const TILE_NUMBERS = 2 ** 19; // outputs of a layer for a tile

/** How a file is opened. */
export interface OpenOptions {
  /** Bounds of this reader, where they are not the defaults. */
  readonly limits?: Partial<Record<LimitName, number>>;
  /** The file of the base, for a file that names one. */
  readonly base?: Uint8Array;
  /** Take a file whose end is missing, at less precision. */
  readonly partial?: boolean;
  /** Evaluate by floats where the file asks for integers: faster, but the last bits of samples may differ. */
  readonly fast?: boolean;
}

/** A section of a file: what it holds, of which network where it is that of one, and its bytes without the checksum. */
export interface SectionInfo {
  readonly holds: "weights" | "side" | "plane" | "tensors" | "base" | "rates";
  readonly part?: number;
  readonly offset: number;
  readonly length: number;
}

/** What is told of a file, ready for JSON but for bytes. */
export interface Info {
  readonly kind: string;
  readonly bytes: number;
  readonly headerBytes: number;
  /** The PSNR against the source as the encoder measured it, in dB. */
  readonly qualityDb: number | undefined;
  readonly networks: number;
  /** Numbers in all networks, or in all tensors. */
  readonly parameters: number;
  /** The entry of the header that describes the network. */
  readonly field: Item | undefined;
  readonly signal: Description | undefined;
  /** Planes of last bits that are there, and that the whole file has. */
  readonly planes: readonly [number, number];
  /** Whether samples are the same bits on every machine. */
  readonly exact: boolean;
  /** Bytes by what sections hold. */
  readonly sectionBytes: Readonly<Record<string, number>>;
  /** The name of the base that the file needs, in hexadecimal digits. */
  readonly base: string | undefined;
}

/** Options and rendering of a kind. */
export type OptionsOf<S extends AnySpec> = Parameters<S["render"]>[1];
export type RenderingOf<S extends AnySpec> = S["render"] extends (...args: never) => Steps<infer R> ? R : never;

/** A file of a signal. */
export type OpenedSignal<S extends AnySpec = AnySpec> = S extends AnySpec ? SignalFile<S> : never;

/** A file of any kind; `kind` tells which. */
export type Opened = OpenedSignal | StateFile | BaseFile;

/**
 * Opens a file. Everything but the weights is checked; nothing is rendered yet.
 *
 * @throws FormatError for a file that breaks the format or exceeds the limits, InputError for a missing or wrong base,
 * BrotliNeededError where `loadBrotli` is to be awaited first, as for files with a side section, or for `withBrotli`
 */
export function open(bytes: Uint8Array, options: OpenOptions = {}): Opened {
  const limits = new Limits(options.limits), { header, sections } = readFile(bytes, limits, options.partial);
  if (header.kind === SIGNAL) return openSignal(header, sections, options);
  return header.kind === STATE ? new StateFile(header, sections, limits.ofFile(header.fileBytes)) : new BaseFile(readBase(bytes, limits));
}

/** A signal whose file is already split; sections of networks may be left out until they are needed. */
export function openSignal(header: Header, sections: readonly (Uint8Array | undefined)[], options: OpenOptions): OpenedSignal {
  const limits = new Limits(options.limits), base = baseFor(header, options.base, limits);
  return new SignalFile(header, sections, limits.ofFile(header.fileBytes), base, options.fast) as OpenedSignal;
}

/** What all files tell. */
abstract class File {
  abstract readonly kind: string;

  constructor(readonly header: Header) {}

  /** What the source told besides its samples or tensors; empty where that is damaged. */
  metadata(): Record<string, Item> {
    return metadataIn(this.header.extra);
  }

  /** The file in numbers, for tables. */
  info(): Info {
    const { header } = this, sectionBytes: Record<string, number> = {};
    for (const { holds, length } of this.sections()) sectionBytes[holds] = (sectionBytes[holds] ?? 0) + length;
    return {
      kind: this.kind,
      bytes: header.fileBytes,
      headerBytes: header.headerBytes,
      qualityDb: header.quality === undefined ? undefined : header.quality / 100,
      networks: 1,
      parameters: 0,
      field: header.field === undefined ? undefined : plain(header.field),
      signal: undefined,
      planes: [header.planes, header.planes],
      exact: header.exact,
      sectionBytes,
      base: header.base === undefined ? undefined : hexadecimal(header.base),
    };
  }

  /** What the sections hold, in order. */
  sections(): SectionInfo[] {
    let offset = this.header.headerBytes;
    return this.header.lengths.map((length, number) => {
      const section = { ...this.content(number), offset, length };
      offset += length + 4;
      return section;
    });
  }

  protected abstract content(section: number): Pick<SectionInfo, "holds" | "part">;
}

/** An open file of a signal. Networks are decoded when they are first used, and kept. */
export class SignalFile<S extends AnySpec> extends File {
  readonly kind: S["kind"];
  /** Shape, dtype and conventions of the source. */
  readonly spec: S;
  readonly field: Field;
  private readonly networks: Networks;
  private readonly loaded: (Uint8Array | undefined)[];
  private readonly known = new Map<number, { params: Params; evaluator: Evaluator }>();

  /** @throws FormatError where header, sections and limits do not go together */
  constructor(
    header: Header, sections: readonly (Uint8Array | undefined)[], private readonly limits: Limits, private readonly base?: Base,
    private readonly fast = false,
  ) {
    super(header);
    const most = limits.bound("maxParams");
    this.field = base === undefined ? fieldFromHeader(header.field, most) : fieldBeside(base, header.field, most);
    if (header.exact && this.field.exact !== "asked") throw new MalformedError("the field has no evaluation by integers");
    const parts = partsIn(header.signal!), first = header.lengths.length - header.planes * parts;
    if (first !== parts && first !== parts + 1) {
      throw new MalformedError(`expected ${parts * (1 + header.planes)} section(s) of networks, found ${header.lengths.length} sections`);
    }
    if (sections.length < first) {
      throw new TruncatedError(`the file ends in section ${sections.length} of ${header.lengths.length}; ${first} are needed`);
    }
    if (first > parts && header.lengths[parts] === 0) throw new MalformedError("an empty side section is left out, not written");
    this.loaded = [...sections];
    limits.checkTensors(this.field.parameters, parts, Math.min(parts, KEPT), decodingBytes(this.field));
    const side = first > parts ? sections[parts] : new Uint8Array();
    if (side === undefined) throw new InputError("the side section is needed to open the file");
    this.spec = specOf(header.signal!, side) as S;
    const { spec, field } = this;
    this.kind = spec.kind;
    if (field.inputs !== spec.inputs || field.outputs !== spec.outputs) {
      throw new MalformedError("the field's coordinates and values are not those of the signal");
    }
    limits.check("maxSamples", spec.values);
    const positions = Math.floor(limits.bound("maxWork") / Math.max(field.cost, 1)), bytes = limits.bound("maxBytes");
    this.networks = {
      part: (number) => this.network(number).evaluator,
      // Activations of a tile stay in the cache; the width of a network is about the root of its cost.
      tile: Math.max(LEAST_TILE, Math.min(TILE, Math.floor(TILE_NUMBERS / Math.sqrt(Math.max(field.cost, 1))))),
      bounds: {
        samples: Math.min(limits.bound("maxSamples"), bytes / spec.valueBytes, positions * spec.outputs),
        positions, bytes,
      },
    };
  }

  /** Weights of a network by name. */
  weights(part = 0): Params {
    return this.network(part).params;
  }

  /** Values (count, b), not limited, at coordinates (count, a) in a network's domain. */
  evaluate(coords: Float32Array, part = 0): Float32Array {
    const { inputs } = this.field;
    if (coords.length % inputs !== 0) throw new InputError(`coords: expected ${inputs} numbers for each position`);
    return this.network(part).evaluator.at(coords, coords.length / inputs);
  }

  /**
   * Renders the signal, or a part of it; the options are those of the kind.
   *
   * @throws InputError for options that leave nothing, LimitError for too much, CancelledError
   */
  render(options: OptionsOf<S> = {} as OptionsOf<S>, control?: Control): RenderingOf<S> {
    return run(this.steps(options), control);
  }

  /**
   * The same with pauses in which other events of the thread have their turn, such as that of a button; Brotli's
   * dictionary is loaded where it is needed.
   */
  async renderWithPauses(options: OptionsOf<S> = {} as OptionsOf<S>, control?: Control): Promise<RenderingOf<S>> {
    const render = () => runWithPauses(this.steps(options), control);
    try {
      return await render();
    } catch (error) {
      if (!(error instanceof BrotliNeededError)) throw error;
      await loadBrotli();
      return render();
    }
  }

  override info(): Info {
    const { header, spec, field } = this, parts = spec.parts, { planes } = header;
    // Planes come one after the other, each for all networks.
    const present = Math.floor((this.loaded.length - this.firstPlane) / parts);
    return {
      ...super.info(),
      networks: parts,
      parameters: parts * numbersOf(field.parameters),
      signal: spec.describe(),
      exact: field.exact === "always" || (header.exact && !this.fast),
      planes: [planes > 0 ? present : 0, planes],
    };
  }

  /** The sections that networks need, for a file that is not loaded as a whole. */
  sectionsOf(parts: readonly number[]): number[] {
    const { spec, header, firstPlane } = this;
    return parts.flatMap((part) =>
      [part, ...Array.from({ length: header.planes }, (_, plane) => firstPlane + plane * spec.parts + part)]);
  }

  /** Whether a section is there. */
  has(section: number): boolean {
    return this.loaded[section] !== undefined;
  }

  /** Puts a section in its place. */
  load(section: number, bytes: Uint8Array): void {
    this.loaded[section] = bytes;
  }

  protected content(section: number): Pick<SectionInfo, "holds" | "part"> {
    const { parts } = this.spec;
    if (section < parts) return { holds: "weights", part: section };
    return section < this.firstPlane ? { holds: "side" } : { holds: "plane", part: (section - this.firstPlane) % parts };
  }

  /** Number of the first section of planes; of all sections where there are none. */
  private get firstPlane(): number {
    return this.header.lengths.length - this.header.planes * this.spec.parts;
  }

  private steps(options: OptionsOf<S>): Steps<RenderingOf<S>> {
    return this.spec.render(this.networks, options as never) as Steps<RenderingOf<S>>;
  }

  /** A network, decoded where it is not kept; the one that was not used for longest is let go. */
  private network(part: number): { params: Params; evaluator: Evaluator } {
    const { known, field, spec, limits, header } = this;
    if (!Number.isInteger(part) || part < 0 || part >= spec.parts) throw new InputError(`part: expected 0 to ${spec.parts - 1}`);
    let network = known.get(part);
    if (network === undefined) {
      const [section, ...planes] = this.sectionsOf([part]).map((number) => this.loaded[number]);
      if (section === undefined) throw new InputError(`network ${part} is not loaded`);
      const budget = { work: Math.floor(limits.bound("maxWork") / spec.parts), memory: limits.bound("maxBytes") };
      const there = planes.filter((plane) => plane !== undefined);
      const params = decodeNetwork(field, { section, planes: there, of: header.planes, budget }, this.base?.statistics);
      network = { params, evaluator: field.evaluator(params, header.exact && !this.fast) };
    }
    known.delete(part);
    known.set(part, network);
    if (known.size > KEPT) known.delete(known.keys().next().value!);
    return network;
  }
}

/** An open file of the tensors of a network. */
export class StateFile extends File {
  readonly kind = "state";
  private known: Params | undefined;

  constructor(header: Header, private readonly bytes: readonly Uint8Array[], private readonly limits: Limits) {
    super(header);
    if (header.lengths.length !== 1) throw new MalformedError(`expected one section, found ${header.lengths.length}`);
    if (bytes.length < 1) throw new TruncatedError("the file ends in its section");
    limits.checkTensors(header.manifest);
  }

  /** The tensors by name. */
  weights(): Params {
    const { limits } = this, budget = { work: limits.bound("maxWork"), memory: limits.bound("maxBytes") };
    return (this.known ??= decodeRecords(this.header.manifest, { section: this.bytes[0], planes: [], of: 0, budget }));
  }

  override info(): Info {
    return { ...super.info(), parameters: numbersOf(this.header.manifest) };
  }

  protected content(): Pick<SectionInfo, "holds"> {
    return { holds: "tensors" };
  }
}

/** An open file of a network that the files of many signals share. */
export class BaseFile extends File {
  readonly kind = "base";

  constructor(private readonly base: Base) {
    super(base.header);
  }

  weights(): Params {
    return this.base.params;
  }

  override info(): Info {
    return { ...super.info(), base: hexadecimal(this.base.name), parameters: numbersOf(this.base.network.parameters) };
  }

  protected content(section: number): Pick<SectionInfo, "holds"> {
    return { holds: section === 0 ? "base" : "rates" };
  }
}

function numbersOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
