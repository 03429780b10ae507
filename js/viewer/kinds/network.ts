/** Networks: the table of their tensors. */

import { make } from "../elements";
import type { Content } from "../protocol";
import type { Shown, Stage } from "../show";

export function showNetwork({ element }: Stage, { tensors }: Extract<Content, { kind: "state" | "base" }>): Shown {
  const head = make("tr", {}, ...["tensor", "shape", "type"].map((name) => make("th", { scope: "col" }, name)));
  const rows = tensors.map(({ name, shape, dtype }) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, shape.join(" × ") || "a number"), make("td", {}, dtype)));
  element.replaceChildren(make("div", { className: "scroll", tabIndex: 0 }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
  element.dataset.done = String(tensors.length);
  return {};
}
