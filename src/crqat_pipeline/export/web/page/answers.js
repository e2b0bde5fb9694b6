// What the page says: its state, what was found, and which words it does not know.

const LONGEST_SHOWN = 60; // letters of a name

export const at = (id) => document.getElementById(id);

/** name: loading, ready, busy or error; the body carries it, for styles and for tests. */
export function say(text, name) {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", name === "error");
  document.body.dataset.state = name;
}

export function failed(error) {
  say(error.message, "error");
}

/** One row per detection; exact numbers are in the row's data. */
export function showFound(found) {
  at("hint").hidden = true;
  at("found").hidden = found.length === 0;
  const rows = found.map(({ prompt, score, box }) => {
    const row = document.createElement("tr");
    Object.assign(row.dataset, { prompt, score, box: JSON.stringify(box) });
    const texts = [prompt, score.toFixed(2), ...box.map((side) => side.toFixed(0))];
    for (const text of texts) row.insertCell().textContent = text;
    return row;
  });
  at("found").tBodies[0].replaceChildren(...rows);
}

/** rate: pictures per second of the camera, if it runs. */
export function report(numFound, numPrompts, { prepare, run, select }, rate) {
  const total = (prepare + run + select).toFixed(0);
  const pace = rate ? `, ${rate.toFixed(1)} pictures per second` : "";
  at("summary").textContent =
    `${numFound} found among ${numPrompts} prompts in ${total} ms (model ${run.toFixed(0)} ms${pace})`;
}

/** unknown: [{typed, nearest, why}]. choose: called with (typed, prompt) when a person takes one of the nearest. */
export function showUnknown(unknown, choose) {
  const lines = unknown.map(({ typed, nearest, why }) => {
    const line = document.createElement("p");
    const shown = typed.length > LONGEST_SHOWN ? `${typed.slice(0, LONGEST_SHOWN)} …` : typed;
    line.append(`“${shown}”: ${why}`);
    if (nearest.length) line.append(" Nearest: ");
    for (const prompt of nearest) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: prompt });
      button.addEventListener("click", () => choose(typed, prompt));
      line.append(button);
    }
    return line;
  });
  at("unknown").replaceChildren(...lines);
}
