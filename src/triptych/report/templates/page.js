"use strict";
(function () {
  const root = document.documentElement;
  const store = {
    get: function (place, key) { try { return place.getItem(key); } catch (error) { return null; } },
    set: function (place, key, value) { try { place.setItem(key, value); } catch (error) { /* none */ } },
  };
  const themes = ["system", "light", "dark"];
  const names = { system: "as the system", light: "light", dark: "dark" };
  const button = document.getElementById("theme");
  let theme = "system";
  function show(next) {
    theme = themes.includes(next) ? next : "system";
    if (theme === "system") { root.removeAttribute("data-theme"); } else { root.dataset.theme = theme; }
    button.textContent = "Theme: " + names[theme];
  }
  let local = null, session = null;
  try { local = window.localStorage; session = window.sessionStorage; } catch (error) { /* none */ }
  show(local ? store.get(local, "triptych-theme") : "system");
  button.hidden = false;
  button.addEventListener("click", function () {
    show(themes[(themes.indexOf(theme) + 1) % themes.length]);
    if (local) { store.set(local, "triptych-theme", theme); }
  });

  for (const slider of document.querySelectorAll("[data-slider]")) {
    const pictures = slider.parentElement.querySelectorAll(":scope > details[data-frames] img");
    const sources = new Map();
    for (const picture of pictures) {
      sources.set(JSON.stringify([picture.dataset.frame, picture.dataset.layer]), picture);
    }
    const pick = function (name) { return slider.querySelector("[data-pick=" + name + "]"); };
    const pair = slider.querySelector(".pair");
    const update = function () {
      for (const side of ["left", "right"]) {
        const image = slider.querySelector("[data-side=" + side + "]");
        const source = sources.get(JSON.stringify([pick("frame").value, pick(side).value]));
        if (source) {
          for (const name of ["width", "height"]) {
            if (source.hasAttribute(name)) { image.setAttribute(name, source.getAttribute(name)); }
          }
          image.src = source.src; image.alt = source.alt; image.hidden = false;
        }
        else { image.removeAttribute("src"); image.alt = "not there"; image.hidden = true; }
      }
    };
    const move = function (share) {
      pick("share").value = share;
      pair.style.setProperty("--share", share + "%");
    };
    for (const name of ["frame", "left", "right"]) { pick(name).addEventListener("change", update); }
    pick("share").addEventListener("input", function () { move(Number(pick("share").value)); });
    const drag = function (event) {
      if (event.type === "pointermove" && event.buttons !== 1) { return; }
      const box = pair.getBoundingClientRect();
      move(Math.min(100, Math.max(0, 100 * (event.clientX - box.left) / box.width)));
    };
    pair.addEventListener("pointerdown", drag);
    pair.addEventListener("pointermove", drag);
    pair.addEventListener("dragstart", function (event) { event.preventDefault(); });
    slider.hidden = false;
    update();
    move(50);
  }

  const seconds = Number(document.body.dataset.reload || 0);
  if (seconds > 0) {
    const key = "triptych-scroll " + location.pathname;
    if (session) {
      const place = Number(store.get(session, key) || 0);
      // Again once all is laid out, unless the reader has moved on.
      if (place) {
        window.history.scrollRestoration = "manual";
        window.scrollTo(0, place);
        let moved = false;
        for (const kind of ["wheel", "touchstart", "keydown", "pointerdown"]) {
          window.addEventListener(kind, function () { moved = true; }, { once: true, passive: true });
        }
        window.addEventListener("load", function () { if (!moved) { window.scrollTo(0, place); } });
      }
    }
    setTimeout(function () {
      if (session) { store.set(session, key, String(window.scrollY)); }
      location.reload();
    }, 1000 * seconds);
  }
})();
