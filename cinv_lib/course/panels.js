// The panels of the course's pages: frames that were drawn beforehand, chosen by plain inputs.
"use strict";

// row: file, width, height and words of a frame, as plots/panels/frames.py writes them
function show(image, row, words) {
  image.src = "frames/" + row[0];
  image.width = row[1];
  image.height = row[2];
  image.alt = words;
}

function move(image, said, figure, data) {
  const inputs = [...figure.querySelectorAll("[data-control]")];
  const counts = (control, chosen) => !control.when || chosen[control.when[0]] === control.when[1];
  // the stops that are chosen, that of input `moved` changed by `by`
  function stops(moved, by) {
    const places = data.controls.map(control => control.at);
    for (const input of inputs) {
      const place = Number(input.dataset.control), last = data.controls[place].stops.length - 1;
      const change = input === moved ? by : 0;
      places[place] = Math.min(last, Math.max(0, Number(input.value) + change));
    }
    return data.controls.reduce(
      (chosen, control, k) => [...chosen, counts(control, chosen) ? places[k] : 0], []);
  }
  function draw() {
    const chosen = stops(), row = data.frames[chosen.join("-")];
    for (const input of inputs) {
      const control = data.controls[input.dataset.control];
      input.parentElement.hidden = !counts(control, chosen);
      if (control.menu) continue;
      const words = control.stops[input.value];
      input.setAttribute("aria-valuetext", words);
      input.nextElementSibling.textContent = words;
      for (const by of [-1, 1]) new Image().src = "frames/" + data.frames[stops(input, by).join("-")][0];
    }
    show(image, row, row[3]);
    said.textContent = row[3];
  }
  figure.addEventListener("input", draw);
  return draw;
}

function play(image, said, figure, data) {
  const buttons = [...figure.querySelectorAll(".names button")], next = figure.querySelector(".next");
  const all = data.questions, score = document.querySelector("[data-score='" + figure.id + "']");
  let at = 0, guesses = [];
  const right = who => all.slice(0, guesses.length).filter(
    (one, k) => (who === "you" ? guesses[k] : one.said[who]) === one.truth).length;
  function draw() {
    const one = all[at], guess = guesses[at], over = guesses.length === all.length;
    buttons.forEach((button, k) => {
      button.textContent = one.names[k];
      button.disabled = guess !== undefined;
    });
    next.disabled = guess === undefined;
    next.textContent = over ? "Play again" : "Next picture";
    let words = "Question " + (at + 1) + " of " + all.length + ": what is in this picture?";
    if (guess !== undefined) {
      const answers = Object.entries({ you: guess, ...one.said });
      const marked = answers.map(([who, name]) => who + ": " + name + (name === one.truth ? " (right)" : " (wrong)"));
      words = "It was: " + one.truth + ". " + marked.join("; ") + ". Right after " + guesses.length + " of "
        + all.length + ": " + answers.map(([who]) => who + " " + right(who)).join(", ") + ".";
    }
    show(image, guess === undefined ? one.before : one.after, words);
    said.textContent = words;
    if (score) score.textContent = over ? right("you") : "?";
  }
  for (const button of buttons) button.addEventListener("click", () => {
    guesses[at] = button.textContent;
    draw();
    next.focus();
  });
  next.addEventListener("click", () => {
    if (guesses.length === all.length) guesses = [];
    at = guesses.length;
    draw();
    buttons[0].focus();
  });
  return draw;
}

for (const figure of document.querySelectorAll("figure.panel")) {
  const script = figure.querySelector("script");
  if (!script) continue;
  const data = JSON.parse(script.textContent);
  const draw = (data.questions ? play : move)(
    figure.querySelector("img"), figure.querySelector(".said"), figure, data);
  for (const hidden of figure.querySelectorAll(".controls")) hidden.hidden = false;
  figure.querySelector("details").remove();
  window.addEventListener("pageshow", draw); // also after "back", which restores inputs, not pictures
}
