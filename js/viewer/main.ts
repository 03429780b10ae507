/** The page: opens files that are dropped, chosen, named by the address or embedded, and shows them by kind. */

import { Decoder } from "./decoder";
import { make } from "./elements";
import { showAudio } from "./kinds/audio";
import { showDataset } from "./kinds/dataset";
import { showImage } from "./kinds/image";
import { showNetwork } from "./kinds/network";
import { showRadiance } from "./kinds/radiance";
import { showShape } from "./kinds/shape";
import { showVideo } from "./kinds/video";
import { showVolume } from "./kinds/volume";
import { panelOf } from "./panel";
import type { Content, Source, Summary } from "./protocol";
import type { Shown, Stage } from "./show";

const find = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;
const [stage, panel, problem, details] = [find("stage"), find("panel"), find("problem"), find<HTMLButtonElement>("details")];
const [progress, picker, empty, theme] = [find<HTMLProgressElement>("progress"), find<HTMLInputElement>("file"), find("empty"), find<HTMLButtonElement>("theme")];

let decoder: Decoder | undefined, shown: Shown | undefined;

/** Opens a file and shows it in the place of the one before. */
async function open(source: Source, name: string): Promise<void> {
  shown?.close?.();
  decoder?.close();
  shown = undefined;
  delete stage.dataset.done;
  problem.hidden = true;
  const own = (decoder = new Decoder());
  try {
    const last = await own.open(source, (summary) => show(own, summary, name));
    show(own, last, name);
  } catch (reason) {
    if (decoder === own) tell(reason, name);
  }
}

function show(own: Decoder, summary: Summary, name: string): void {
  if (decoder !== own) return;
  document.title = name;
  find("name").textContent = find("name").title = name;
  panel.replaceChildren(panelOf(summary));
  details.hidden = false;
  empty.hidden = true;
  if (shown?.refresh !== undefined) return shown.refresh();
  shown?.close?.();
  const element = make("div", { className: `kind ${summary.content.kind}` });
  stage.replaceChildren(element);
  shown = showContent({ element, decoder: own, name, progress: share, problem: (reason) => tell(reason, name) }, summary.content);
}

function showContent(on: Stage, content: Content): Shown {
  switch (content.kind) {
    case "image": return showImage(on, content);
    case "audio": return showAudio(on, content);
    case "volume": return showVolume(on, content);
    case "dataset": return showDataset(on, content);
    case "video": return showVideo(on, content);
    case "shape": return showShape(on, content);
    case "radiance": return showRadiance(on, content);
    default: return showNetwork(on, content);
  }
}

function share(done: number | undefined): void {
  progress.hidden = done === undefined || done >= 1;
  progress.value = done ?? 0;
}

/** One line for people. */
function tell(reason: unknown, name: string): void {
  share(undefined);
  problem.textContent = `${name}: ${reason instanceof Error ? reason.message : String(reason)}`;
  problem.hidden = false;
}

async function openFile(file: File): Promise<void> {
  await open({ bytes: new Uint8Array(await file.arrayBuffer()) }, file.name);
}

/** The bytes of a file in the page. */
function embedded(id: string): Uint8Array | undefined {
  const text = document.getElementById(id)?.textContent;
  return text ? Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) : undefined;
}

for (const button of [find("open"), find("choose")]) button.addEventListener("click", () => picker.click());
picker.addEventListener("change", () => picker.files?.[0] && void openFile(picker.files[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file !== undefined) void openFile(file);
});
details.addEventListener("click", () => {
  panel.hidden = !panel.hidden;
  details.setAttribute("aria-expanded", String(!panel.hidden));
});
theme.addEventListener("click", () => {
  const next = { auto: "light", light: "dark", dark: "auto" }[document.documentElement.dataset.theme ?? "auto"]!;
  document.documentElement.dataset.theme = next;
  theme.textContent = next[0].toUpperCase() + next.slice(1);
  theme.setAttribute("aria-label", next === "auto" ? "Colours: as the system has them" : `Colours: ${next}`);
});

const bytes = embedded("sinr-file"), url = new URLSearchParams(location.search).get("file"), base = embedded("sinr-base");
if (bytes !== undefined) void open({ bytes, base }, document.getElementById("sinr-file")?.dataset.name ?? "file");
else if (url !== null) void open({ url: new URL(url, location.href).href }, url.split("/").pop() ?? url);
