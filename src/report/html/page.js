"use strict";
// Adds to the page: zoom by drag and keys, and what is known of the operation under the pointer.
(() => {
  const took = (us) => us < 1000 ? `${us} µs` : us < 1e6 ? `${+(us / 1e3).toPrecision(3)} ms` : `${+(us / 1e6).toPrecision(4)} s`;
  const make = (name, className) => Object.assign(document.createElement(name), { className });
  const tip = make("div", "tip");
  tip.hidden = true;
  document.body.append(tip);

  for (const course of document.querySelectorAll("[data-course]")) begin(course);

  function begin(course) {
    const data = JSON.parse(course.querySelector("script").textContent);
    const word = (place) => place ? data.words[place - 1] : "";
    const operations = data.operations.map(([number, worker, connection, row, [issued, wait, dial, service], w]) => ({
      number, worker, connection, row, issued, wait, dial, service,
      began: issued + wait + dial, end: issued + wait + dial + service,
      name: word(w[0]), mailbox: word(w[1]), reason: word(w[2]), mode: word(w[3]),
      session: word(w[4]), task: word(w[5]), elsewhere: word(w[6]), failure: word(w[7]),
    }));
    const zooms = [...course.querySelectorAll("svg.zoom")];
    const paints = document.querySelectorAll(`pattern[id^="${course.dataset.course}p"]`);
    const lanes = [...course.querySelectorAll("tr.lane")];
    const detail = course.querySelector(".detail");
    const hint = make("p", "hint");
    hint.textContent = "drag to zoom; + − ← → 0 zoom and move; click an operation to hold what it says";
    course.querySelector(".lanes").after(hint);
    course.tabIndex = 0;
    let from = 0, to = 1;

    const picture = (lane) => lane.querySelector("td > svg");
    const found = new Map();
    const of = (lane) => {
      const name = lane.dataset.lane, number = +name.slice(1);
      if (!found.has(name)) found.set(name, operations.filter((it) => name[0] === "c" ? it.connection === number : it.worker === number));
      return found.get(name);
    };

    function show(low, high) {
      const least = Math.max(1e-7, 20 / Math.max(data.end, 1));
      if (high - low < least) { const middle = (low + high) / 2; low = middle - least / 2; high = middle + least / 2; }
      if (high - low >= 1) { low = 0; high = 1; }
      if (low < 0) { high -= low; low = 0; }
      if (high > 1) { low -= high - 1; high = 1; }
      from = low; to = high;
      const scale = 1 / (to - from);
      for (const zoom of zooms) {
        zoom.setAttribute("width", `${100 * scale}%`);
        zoom.setAttribute("x", `${-100 * from * scale}%`);
      }
      fit();
    }

    // A pattern keeps its size, however far the picture is stretched.
    function fit() {
      const width = lanes.length ? picture(lanes[0]).getBoundingClientRect().width : 1000;
      const scale = 1000 / Math.max(width, 1) * (to - from);
      for (const paint of paints) paint.setAttribute("patternTransform", `scale(${scale} 1)`);
    }

    function find(event) {
      const lane = event.target.closest && event.target.closest("tr.lane");
      if (!lane) return null;
      const box = picture(lane).getBoundingClientRect();
      const part = (event.clientX - box.left) / box.width;
      if (part < 0 || part > 1) return null;
      const at = (from + part * (to - from)) * data.end, near = 4 / box.width * (to - from) * data.end;
      const isWorker = lane.dataset.lane[0] === "w";
      const row = isWorker ? 0 : (event.clientY - box.top - lane.dataset.top) / lane.dataset.row;
      let best = null, least = Infinity;
      for (const it of of(lane)) {
        const began = isWorker ? it.issued : it.began;
        const away = Math.max(began - at, at - it.end, 0);
        const score = away / near + (isWorker ? 0 : Math.abs(it.row + .4 - row));
        if (away <= near && score < least) { best = it; least = score; }
      }
      return best;
    }

    function tell(it, place) {
      place.textContent = "";
      const add = (text, bad) => {
        const span = make("span", bad ? "bad" : "");
        span.textContent = text;
        place.append(span, make("br", ""));
      };
      const by = data.workers[it.worker] || `w${it.worker}`;
      add(`operation ${it.number}: ${it.name}${it.mailbox ? ` of ${it.mailbox}` : ""} by ${by}${it.task ? `, ${it.task}` : ""}`);
      add(it.session ? `on ${it.session}, ${it.reason} (${it.mode})` : `on no connection (${it.mode})`);
      add(`waited ${took(it.wait)}${it.dial ? `, dialled ${took(it.dial)}` : ""}, served ${took(it.service)}; issued at ${took(it.issued)}`);
      if (it.elsewhere) add(`answered from ${it.elsewhere}`, true);
      if (it.failure) add(`failed: ${it.failure}`, true);
    }

    let range = null, pressed = null;
    course.addEventListener("pointermove", (event) => {
      if (pressed && range) {
        const left = Math.min(pressed.x, event.clientX), box = course.getBoundingClientRect();
        range.style.left = `${left - box.left}px`;
        range.style.width = `${Math.abs(event.clientX - pressed.x)}px`;
        tip.hidden = true;
        return;
      }
      const it = find(event);
      tip.hidden = !it;
      if (!it) return;
      tell(it, tip);
      const { width, height } = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4))}px`;
      tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18}px`;
    });
    course.addEventListener("pointerleave", () => { tip.hidden = true; });
    course.addEventListener("pointerdown", (event) => {
      const lane = event.target.closest("tr.lane, tr.axis");
      if (!lane || event.button || event.pointerType === "touch" || event.target.closest("a")) return;
      pressed = { x: event.clientX, box: lane.querySelector("td > svg").getBoundingClientRect() };
      range = make("div", "range");
      course.append(range);
      course.setPointerCapture(event.pointerId);
    });
    const release = (event) => {
      if (range) range.remove();
      const was = pressed;
      range = pressed = null;
      if (!was || event.type !== "pointerup" || Math.abs(event.clientX - was.x) < 6) return;
      const part = (x) => from + Math.min(1, Math.max(0, (x - was.box.left) / was.box.width)) * (to - from);
      show(Math.min(part(was.x), part(event.clientX)), Math.max(part(was.x), part(event.clientX)));
    };
    course.addEventListener("pointerup", release);
    course.addEventListener("pointercancel", release);
    course.addEventListener("click", (event) => {
      const under = document.elementFromPoint(event.clientX, event.clientY);
      const it = find({ target: under || event.target, clientX: event.clientX, clientY: event.clientY });
      if (it) tell(it, detail);
    });
    course.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const middle = (from + to) / 2, half = (to - from) / 2;
      const moves = {
        "+": [middle - half / 2, middle + half / 2], "=": [middle - half / 2, middle + half / 2],
        "-": [middle - half * 2, middle + half * 2],
        ArrowLeft: [from - half / 2, to - half / 2], ArrowRight: [from + half / 2, to + half / 2],
        0: [0, 1], Escape: [0, 1],
      };
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      show(...move);
    });
    // A link to an operation shows it, too.
    for (const link of course.parentElement.querySelectorAll("a[data-op]")) {
      link.addEventListener("click", () => {
        const it = operations.find((other) => other.number === +link.dataset.op);
        if (!it) return;
        tell(it, detail);
        const around = Math.max(it.end - it.issued, data.end / 200) * 4 / data.end, at = it.began / data.end;
        show(at - around, at + around);
      });
    }
    addEventListener("resize", fit);
    fit();
  }
})();
