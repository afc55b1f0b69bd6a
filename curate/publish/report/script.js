"use strict";
// Reads the page's data and follows the band, the filters and the drawer. What a model or a dataset wrote is only ever
// set as text: nothing here makes HTML of a string.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const problems = data.problems, pairs = data.pairs, edges = data.edges;
  const count = problems.id.length, width = edges.length + 2;
  const sides = Uint8Array.from(atob(pairs.sides), (sign) => sign.charCodeAt(0));
  const bit = Object.fromEntries(data.names.map((name, place) => [name, 1 << place]));
  const [IN, HARD, EASY, UNDECIDED] = data.outcomes.map((_, place) => place);
  const COLOUR = { kept: "--kept", aside: "--aside", too_hard: "--too_hard", too_easy: "--too_easy", undecided: "--undecided" };
  const STEP = { audit: "--aside", repair: "--repair" };
  const PAGE = 50;

  const at = (id) => document.getElementById(id);
  const number = (value, digits = 0) =>
    value == null ? "–" : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const column = (name, row) => (problems[name] ? problems[name][row] : null);
  const shownId = (row) => problems.shown[row] ?? problems.id[row];

  /** An element; children that are strings become text. */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (name === "style") Object.entries(value).forEach(([key, set]) => element.style.setProperty(key, set));
      else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  }
  const bdi = (text) => make("bdi", null, text);

  // -- the band: what every problem's outcome, reasons and main reason are under it ---------------------------------

  const own = data.band;
  let band = [...own];
  const outcome = new Uint8Array(count), reasons = new Uint16Array(count), main = new Int8Array(count);
  const kept = (row) => outcome[row] === IN && reasons[row] === 0;
  const sampled = (row) => pairs.n[problems.pair[row]] > 0;

  function side(pair) {
    const row = pair * width;
    if (sides[row + band[0]] <= band[1]) return IN;
    if (sides[row + width - 2] <= band[0]) return HARD;
    return band[1] < sides[row + width - 1] ? EASY : UNDECIDED;
  }

  function decide() {
    const sided = [0, bit.too_hard, bit.too_easy, bit.undecided];
    for (let row = 0; row < count; row++) {
      const state = problems.state[row];
      if (state > 1) {
        outcome[row] = state - 2;
        reasons[row] = problems.reasons[row];
      } else {
        outcome[row] = side(problems.pair[row]);
        // An engine's error is a reason where too little came to decide.
        const missing = state === 1 && outcome[row] === UNDECIDED ? bit.engine_error : 0;
        reasons[row] = problems.reasons[row] | sided[outcome[row]] | missing;
      }
      const first = data.order.find((place) => reasons[row] & (1 << place));
      main[row] = first === undefined ? -1 : first;
    }
  }

  const colour = (row) =>
    kept(row) ? "kept" : [HARD, EASY, UNDECIDED].includes(outcome[row]) ? data.outcomes[outcome[row]] : "aside";

  /** How many problems have each main reason, and how many sampled ones each class, bin by bin. */
  function tallied() {
    const mainly = new Array(data.names.length).fill(0);
    const bins = Object.fromEntries(data.classes.map((name) => [name, new Array(data.bins).fill(0)]));
    for (let row = 0; row < count; row++) {
      if (main[row] >= 0) mainly[main[row]]++;
      if (sampled(row)) bins[colour(row)][pairs.bin[problems.pair[row]]]++;
    }
    return { mainly, bins, kept: count - mainly.reduce((sum, one) => sum + one, 0) };
  }

  let before = null;
  function drawBand() {
    decide();
    const now = tallied();
    before ??= now;
    const total = (bins) => bins.reduce((sum, one) => sum + one, 0);
    for (const name of data.classes) {
      const change = total(now.bins[name]) - total(before.bins[name]);
      at(`count-${name}`).textContent = number(total(now.bins[name]));
      at(`change-${name}`).textContent = change ? (change > 0 ? "+" : "−") + number(Math.abs(change)) : "";
    }
    const tallest = Math.max(1, ...Array.from({ length: data.bins }, (_, bin) =>
      data.classes.reduce((sum, name) => sum + now.bins[name][bin], 0)));
    at("bars").querySelectorAll("g").forEach((group, bin) => {
      let under = 0;
      const said = [];
      data.classes.forEach((name, place) => {
        const here = now.bins[name][bin];
        const bar = group.querySelectorAll("rect")[place];
        under += here;
        bar.setAttribute("y", 100 - (100 * under) / tallest);
        bar.setAttribute("height", (100 * here) / tallest);
        if (here) said.push(`${number(here)} ${data.words[name]}`);
      });
      group.querySelector("title").textContent =
        `${(bin / data.bins).toFixed(3)} to ${((bin + 1) / data.bins).toFixed(3)}: ${said.join(", ") || "none"}`;
    });
    const [low, high] = band.map((place) => edges[place]);
    at("stripe").setAttribute("x", low * data.bins);
    at("stripe").setAttribute("width", (high - low) * data.bins);
    ["low", "high"].forEach((id, which) => {
      const value = edges[band[which]], handle = at(id), limits = range(which);
      handle.style.left = `${100 * value}%`;
      handle.firstElementChild.textContent = value;
      handle.setAttribute("aria-valuenow", value);
      handle.setAttribute("aria-valuetext", `${value}, ${number(now.kept)} of ${number(count)} problems kept`);
      handle.setAttribute("aria-valuemin", edges[limits[0]]);
      handle.setAttribute("aria-valuemax", edges[limits[1]]);
    });
    const moved = band[0] !== own[0] || band[1] !== own[1];
    at("moved").hidden = !moved;
    at("moved-command").textContent = `${data.filter} ${low}:${high}`;
    drawReasons(now);
  }

  function drawReasons(now) {
    let left = count;
    data.names.forEach((name, place) => {
      const item = at("waterfall").querySelector(`[data-reason="${name}"]`), here = now.mainly[place];
      left -= here;
      item.hidden = !here;
      item.querySelector("b").textContent = `−${number(here)}`;
      const bar = item.querySelector(".track i");
      bar.style.left = `${(100 * left) / (count || 1)}%`;
      bar.style.width = `${(100 * here) / (count || 1)}%`;
    });
    at("kept-count").textContent = number(now.kept);
    at("kept-bar").style.width = `${(100 * now.kept) / (count || 1)}%`;
  }

  /** The first and the last place that an edge may go to: the two never meet. */
  const range = (which) => (which ? [band[0] + 1, edges.length - 1] : [0, band[1] - 1]);

  let waiting = false;
  function move(which, place) {
    const [first, last] = range(which);
    const wanted = Math.min(last, Math.max(first, place));
    if (wanted === band[which]) return;
    band[which] = wanted;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawBand();
      select();
    });
  }

  ["low", "high"].forEach((id, which) => {
    const handle = at(id);
    const nearest = (x) => {
      const box = handle.parentElement.getBoundingClientRect();
      const wanted = (x - box.left) / box.width;
      return edges.reduce((best, edge, place) => (Math.abs(edge - wanted) < Math.abs(edges[best] - wanted) ? place : best), 0);
    };
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      handle.focus();
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) move(which, nearest(event.clientX));
    });
    handle.addEventListener("keydown", (event) => {
      const [first, last] = range(which);
      const to = {
        ArrowLeft: band[which] - 1, ArrowDown: band[which] - 1, ArrowRight: band[which] + 1, ArrowUp: band[which] + 1,
        PageDown: band[which] - 4, PageUp: band[which] + 4, Home: first, End: last,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      move(which, to);
    });
  });
  at("reset").addEventListener("click", () => {
    band = [...own];
    drawBand();
    select();
    at("low").focus();
  });

  // -- the drawers' texts: opened a chunk at a time, when they are looked at ------------------------------------------

  const chunks = new Map();
  /** What the drawers of a chunk show; a promise of [question, reference, prompt, answers, pass, fail] for each row. */
  function chunk(number) {
    if (!chunks.has(number)) chunks.set(number, inflate(data.stories[number]));
    return chunks.get(number);
  }
  async function inflate(packed) {
    const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }
  async function storyOf(row) {
    return (await chunk(Math.floor(row / data.chunk)))[row % data.chunk];
  }

  // -- the table: searched, filtered, sorted, a page at a time ------------------------------------------------------

  const query = at("query"), byOutcome = at("outcome"), byReason = at("reason"), bySource = at("source"), sort = at("sort");
  let listed = [], page = 0, haystacks = null;

  const SORTS = {
    source: ["Source order", null],
    rate: ["Pass rate", (row) => (sampled(row) ? pairs.pass_rate[problems.pair[row]] : null)],
    outcome: ["Outcome", (row) => (kept(row) ? -1 : outcome[row])],
    rollouts: ["Rollouts", (row) => pairs.n[problems.pair[row]]],
    tokens: ["Mean tokens", (row) => column("tokens", row)],
    risk: ["Risk", (row) => column("risk", row)],
    wrong: ["Reference wrong?", (row) => column("wrong", row)],
  };
  const HEADS = [["source", "problem"], [null, data.source ?? ""], ["rate", "pass rate"], ["outcome", "outcome"], ["tokens", "tokens"], ["risk", "risk"]];

  const OUTCOMES = {
    ...Object.fromEntries(data.classes.map((name) => [name, [data.words[name], (row) => sampled(row) && colour(row) === name]])),
    in_band: ["in band, kept or not", (row) => outcome[row] === IN],
    left: ["all that were left out", (row) => !kept(row)],
    unverifiable: ["unverifiable", (row) => data.outcomes[outcome[row]] === "unverifiable"],
    unsampled: ["never sampled", (row) => !sampled(row)],
  };

  function option(value, text) { return make("option", { value }, text); }
  function fill() {
    byOutcome.append(option("", "all"), ...Object.entries(OUTCOMES).map(([name, [words]]) => option(name, words)));
    const any = make("optgroup", { label: "any reason" }), mainly = make("optgroup", { label: "main reason" });
    data.names.forEach((name) => (any.append(option(`any ${name}`, name)), mainly.append(option(`main ${name}`, `mainly ${name}`))));
    byReason.append(option("", "all"), any, mainly);
    bySource.append(option("", "all"), ...data.sources.map((name, place) => option(place, name)));
    at("source-label").hidden = !data.source;
    if (data.source) at("source-name").textContent = data.source;
    for (const [key, [name, value]] of Object.entries(SORTS)) {
      if (["risk", "wrong"].includes(key) && !problems[key]) continue;
      sort.append(option(`${key} up`, value ? `${name}, lowest first` : name));
      if (value) sort.append(option(`${key} down`, `${name}, highest first`));
    }
    at("heads").append(...heads().map(([key, name]) => {
      const head = make("th", { scope: "col", class: ["tokens", "risk"].includes(key) ? "num" : null, "data-key": key });
      if (!key) return head.append(name), head;
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        const up = `${key} up`, down = `${key} down`;
        sort.value = key === "source" || sort.value === down ? up : sort.value === up ? down : key === "outcome" ? up : down;
        select();
      });
      return head.append(button), head;
    }));
  }
  const heads = () => HEADS.filter(([key, name]) => (key === "risk" ? problems.risk : key !== null || name));

  /** All that can be searched of each problem, in lower case; made when it is first asked for. */
  async function prepareSearch() {
    if (haystacks) return;
    const stories = (await Promise.all(data.stories.map((_, number) => chunk(number)))).flat();
    haystacks = stories.map(([question, reference, prompt, answers, pass, fail], row) => [
      problems.id[row], shownId(row), question || problems.question[row], reference || problems.answer[row], prompt || "",
      ...answers.map((one) => one[0] ?? ""), pass ? pass.at(-1) : "", fail ? fail.at(-1) : "",
    ].join("\n").toLowerCase());
  }

  function matches(row) {
    const [how, name] = byReason.value.split(" ");
    if (byOutcome.value && !OUTCOMES[byOutcome.value][1](row)) return false;
    if (how === "any" && !(reasons[row] & bit[name])) return false;
    if (how === "main" && data.names[main[row]] !== name) return false;
    if (bySource.value !== "" && problems.source[row] !== Number(bySource.value)) return false;
    return true;
  }

  function select() {
    const words = haystacks ? query.value.trim().toLowerCase() : "";
    listed = [];
    for (let row = 0; row < count; row++) {
      if (matches(row) && (!words || haystacks[row].includes(words))) listed.push(row);
    }
    const [key, direction] = sort.value.split(" "), value = SORTS[key][1], sign = direction === "down" ? -1 : 1;
    if (value) {
      const keys = new Map(listed.map((row) => [row, value(row)]));
      // What has no value comes last either way.
      listed.sort((one, other) => {
        const a = keys.get(one), b = keys.get(other);
        if (a == null || b == null) return (a == null) - (b == null) || one - other;
        return sign * (a - b) || one - other;
      });
    }
    at("heads").querySelectorAll("th").forEach((head) => {
      if (head.dataset.key === key) head.setAttribute("aria-sort", direction === "down" ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    page = 0;
    drawPage();
  }

  function chip(text, variable) {
    return make("span", { class: "chip", style: { "--dot": `var(${variable})` } }, text);
  }
  function chips(row) {
    if (kept(row)) return [chip("kept", COLOUR.kept)];
    const mine = data.names.filter((name) => reasons[row] & bit[name]);
    const sided = mine.map((name) => chip(name, COLOUR[name] ?? STEP[data.steps[data.names.indexOf(name)]] ?? "--quiet"));
    return outcome[row] === IN ? [chip("in_band", "--aside"), ...sided] : sided;
  }

  function interval(row) {
    const pair = problems.pair[row], percent = (value) => `${100 * value}%`;
    return make("div", { class: "interval", "aria-hidden": "true", style: { "--dot": `var(${COLOUR[colour(row)]})` } },
      make("i", { class: "in", style: { left: percent(edges[band[0]]), width: percent(edges[band[1]] - edges[band[0]]) } }),
      make("i", { class: "ci", style: { left: percent(pairs.ci_low[pair]), width: percent(pairs.ci_high[pair] - pairs.ci_low[pair]) } }),
      make("i", { class: "at", style: { left: percent(pairs.pass_rate[pair]) } }));
  }

  function drawRow(row) {
    const pair = problems.pair[row];
    const button = make("button", { type: "button", class: "open", "data-row": row }, bdi((problems.question[row] || shownId(row)).slice(0, 300)));
    const cells = [make("td", null, button, make("small", null, bdi(shownId(row))))];
    if (data.source) cells.push(make("td", null, bdi(data.sources[problems.source[row]])));
    cells.push(sampled(row)
      ? make("td", null, `${number(pairs.pass_rate[pair], 2)} `, make("small", { style: { display: "inline" } }, `${pairs.k[pair]}/${pairs.n[pair]}`), interval(row))
      : make("td", null, "–"));
    cells.push(make("td", null, ...chips(row)), make("td", { class: "num", "data-name": "tokens" }, number(column("tokens", row))));
    if (problems.risk) cells.push(make("td", { class: "num", "data-name": "risk" }, number(column("risk", row), 2)));
    return make("tr", { "data-row": row }, ...cells);
  }

  function drawPage() {
    const pages = Math.max(1, Math.ceil(listed.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    at("rows").replaceChildren(...listed.slice(page * PAGE, (page + 1) * PAGE).map(drawRow));
    at("found").textContent = listed.length === count ? `${number(count)} problems` : `${number(listed.length)} of ${number(count)} problems`;
    at("page").textContent = `Page ${number(page + 1)} of ${number(pages)}`;
    at("previous").disabled = page === 0;
    at("next").disabled = page === pages - 1;
    at("download").disabled = listed.length === 0;
  }

  function turn(by) {
    page += by;
    drawPage();
    at("table").scrollIntoView({ block: "start" });
  }

  let typing;
  query.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(async () => {
      await prepareSearch();
      select();
    }, 120);
  });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const box of [byOutcome, byReason, bySource, sort]) box.addEventListener("change", select);
  at("previous").addEventListener("click", () => turn(-1));
  at("next").addEventListener("click", () => turn(1));
  at("clear").addEventListener("click", () => {
    at("filters").reset();
    select();
    query.focus();
  });
  at("download").addEventListener("click", () => {
    // One id a line; one with a line break in it is quoted.
    const lines = listed.map((row) => (/[\r\n]/.test(problems.id[row]) ? JSON.stringify(problems.id[row]) : problems.id[row]));
    const address = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/plain;charset=utf-8" }));
    const link = make("a", { href: address, download: "problem-ids.txt" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });

  function show(outcomeName, reasonName) {
    at("filters").reset();
    byOutcome.value = outcomeName;
    byReason.value = reasonName;
    select();
    at("problems").scrollIntoView();
    query.focus({ preventScroll: true });
  }
  document.addEventListener("click", (event) => {
    const from = event.target.closest("[data-filter], [data-main], [data-any], [data-copy], [data-row]");
    if (!from) return;
    if (from.dataset.filter) show(from.dataset.filter, "");
    else if (from.dataset.main) show("", `main ${from.dataset.main}`);
    else if (from.dataset.any) show("", `any ${from.dataset.any}`);
    else if (from.dataset.copy) copy(from);
    else {
      // The button gets the focus, so that it has it again when the drawer closes.
      (from.matches("button") ? from : from.querySelector("button"))?.focus({ preventScroll: true });
      open(Number(from.dataset.row));
    }
  });

  async function copy(button) {
    const source = at(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  // -- the drawer: one problem ----------------------------------------------------------------------------------------

  const drawer = at("drawer");
  let current = -1;

  async function open(row) {
    current = row;
    const told = await storyOf(row);
    if (current !== row) return;
    at("drawer-body").replaceChildren(...story(row, told));
    if (!drawer.open) drawer.showModal();
    drawer.scrollTop = 0;
    at("drawer-close").focus({ preventScroll: true });
  }
  function step(by) {
    const place = listed.indexOf(current) + by;
    if (place >= 0 && place < listed.length) open(listed[place]);
  }
  drawer.addEventListener("click", (event) => {
    if (event.target === drawer) drawer.close();
  });
  drawer.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft" || event.key === "k") step(-1);
    if (event.key === "ArrowRight" || event.key === "j") step(1);
  });

  function quoted(id) {
    return /^[\w@%+=:,./-]+$/.test(id) ? id : `'${id.replaceAll("'", `'"'"'`)}'`;
  }

  function story(row, [question, reference, prompted, answers, pass, fail]) {
    const place = listed.indexOf(row);
    const button = (id, label, text, act, disabled) => {
      const made = make("button", { type: "button", id, title: label, "aria-label": label, disabled }, text);
      made.addEventListener("click", act);
      return made;
    };
    const parts = [
      make("div", { class: "drawer-top" }, make("h2", { id: "drawer-title" }, bdi(shownId(row))),
        button("drawer-previous", "Previous problem (left arrow)", "←", () => step(-1), place <= 0),
        button("drawer-next", "Next problem (right arrow)", "→", () => step(1), place < 0 || place === listed.length - 1),
        button("drawer-close", "Close (Escape)", "✕", () => drawer.close(), false)),
      ...numbers(row), ...evidence(row),
    ];
    const asked = question || problems.question[row], aside = problems.aside[row] !== undefined;
    parts.push(
      make("h3", null, aside ? "Question (it was not sampled)" : "Prompt"),
      text(aside ? asked : prompted || data.frame[0] + asked + data.frame[1]),
      make("h3", null, "Reference"), text(reference || problems.answer[row] || "none"),
      ...tally(answers), ...rollout(pass, "pass", "A passing rollout"), ...rollout(fail, "fail", "A failing rollout"));
    const id = problems.id[row];
    const command = `${data.show} ${id.startsWith("-") ? "-- " : ""}${problems.shown[row] ? shownId(row) : quoted(id)}`;
    parts.push(make("h3", null, "All of its rollouts"),
      make("p", { class: "command" }, make("code", { id: "drawer-command" }, bdi(command)),
        make("button", { type: "button", class: "copy", "data-copy": "drawer-command" }, "Copy")));
    return parts;
  }

  const text = (value, kind) => make("pre", { class: kind, dir: "auto", tabindex: value.length > 2000 ? "0" : null }, value);

  function numbers(row) {
    const pair = problems.pair[row], parts = [make("p", { class: "big" }, ...chips(row))];
    if (sampled(row)) {
      parts.push(make("p", null, make("b", null, `${number(pairs.k[pair])} of ${number(pairs.n[pair])} pass`),
        `; pass rate ${number(pairs.pass_rate[pair], 3)}, 95% interval ${number(pairs.ci_low[pair], 3)} to ${number(pairs.ci_high[pair], 3)}`), interval(row));
    }
    const mine = data.names.filter((name) => reasons[row] & bit[name]);
    if (mine.length) {
      parts.push(make("ul", null, ...mine.map((name) => make("li", null, make("b", null, name), `: ${data.meaning[name]}. `,
        make("i", null, `${data.steps[data.names.indexOf(name)]}: ${data.todo[name]}`)))));
    }
    if (problems.aside[row] !== undefined) parts.push(make("p", { class: "warning" }, bdi(problems.aside[row])));
    return parts;
  }

  function evidence(row) {
    const said = [], value = (name) => column(name, row);
    if (value("cut")) said.push(`${number(value("cut"))} rollouts were cut at the length limit`);
    if (value("unscored")) said.push(`${number(value("unscored"))} rollouts got no verdict`);
    if (value("tokens") != null) said.push(`${number(value("tokens"))} tokens on average`);
    if (value("checked")) {
      said.push(`${number(value("flagged"))} of ${number(value("checked"))} passes flagged; genuine pass rate ${number(value("genuine"), 3)}; risk ${number(value("risk"), 2)}`);
    }
    if (value("guess") != null) said.push(`a guess (${data.kinds[value("guess_kind")] ?? "open"}) passes at ${number(value("guess"), 2)}`);
    if (value("luck") != null) said.push(`the passes: ${data.tests[value("guess_verdict")] ?? "not tested"}; mostly luck with probability ${number(value("luck"), 3)}`);
    const note = problems.notes[row];
    if (note) said.push(`reference wrong with probability ${number(value("wrong"), 3)}: ${note[0]}${note[1] ? `; ${note[1]}` : ""}`);
    return said.length ? [make("ul", { class: "note" }, ...said.map((line) => make("li", null, line)))] : [];
  }

  function tally(answers) {
    if (!answers.length) return [];
    const most = Math.max(...answers.map((one) => one[2]));
    const lines = answers.flatMap(([answer, verdict, times]) => [
      make("span", null, answer === null ? (verdict === 3 ? "other answers" : "no answer") : bdi(answer)),
      make("div", { "aria-hidden": "true" }, make("i", { class: `v${verdict}`, style: { width: `${(100 * times) / most}%` } })),
      make("span", null, `${number(times)} ${["fail", "pass", "unscored", ""][verdict]}`),
    ]);
    return [make("h3", null, "What was answered"), make("div", { class: "tally" }, ...lines)];
  }

  function rollout(one, kind, title) {
    if (!one) return [];
    const [index, tokens, cut, reason, flags, step, completion] = one, names = Object.keys(data.flags);
    const said = flags.map((place) => `${names[place]} (${data.flags[names[place]]}${names[place] === "wrong_step" && step ? `: ${step}` : ""})`);
    return [
      make("h3", null, title),
      make("p", { class: "note" }, `#${index}, ${number(tokens)} tokens, ${cut ? "cut at the length limit" : "complete"}${reason ? `, ${reason}` : ""}`),
      ...said.map((line) => make("p", { class: "warning" }, line)), text(completion, kind),
    ];
  }

  // -- light and dark ----------------------------------------------------------------------------------------------------

  at("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });

  fill();
  drawBand();
  select();
})();
