/** What is known of a file: header, sections and bytes. */

import { make } from "./elements";
import type { Summary } from "./protocol";

const KINDS: Readonly<Record<string, string>> = {
  image: "picture", audio: "sound", volume: "volume", dataset: "dataset", video: "video", shape: "shape", radiance: "scene",
  state: "network", base: "base, a network that many files share",
};

const UNITS: Readonly<Record<string, string>> = { rate: " Hz", seconds: " s", fps: " frames a second" };

/** A definition list about a file. */
export function panelOf({ info, sections, exact, metadata }: Summary): HTMLElement {
  const count = (n: number, noun: string) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  const rows: [string, string][] = [["kind", KINDS[info.kind] ?? info.kind]];
  for (const [name, value] of Object.entries(info.signal ?? {})) {
    const isNone = value === undefined || (Array.isArray(value) && value.length === 0) || (name === "channels" && value === 0);
    if (name === "shape" && Array.isArray(value)) rows.push([name, value.join(" × ")]);
    else if (name !== "type" && !isNone) rows.push([name, words(value) + (UNITS[name] ?? "")]);
  }
  rows.push(["file", count(info.bytes, "byte")], ["header", count(info.headerBytes, "byte")]);
  for (const [name, size] of Object.entries(info.sectionBytes)) rows.push([name, count(size, "byte")]);
  rows.push(["sections", `${sections.length}; all checksums match`]);
  if (info.qualityDb !== undefined) rows.push(["quality", `${info.qualityDb.toFixed(2)} dB, as the encoder measured it`]);
  if (info.networks > 1) rows.push(["networks", String(info.networks)]);
  rows.push(["numbers", info.parameters.toLocaleString("en")]);
  if (info.signal !== undefined) rows.push(["samples", exact ? "the same bits on every machine" : "the last bits may differ between machines"]);
  if (info.planes[1] > 0) rows.push(["planes", `${info.planes[0]} of ${info.planes[1]}`]);
  if (info.base !== undefined) rows.push(["base", info.base]);
  if (metadata.length > 0) rows.push(["metadata", metadata.join(", ")]);
  return make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

/** A value of a description in a line. */
function words(value: unknown): string {
  if (Array.isArray(value)) return value.map(words).join(", ");
  if (typeof value === "number") return String(+value.toPrecision(7));
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}
