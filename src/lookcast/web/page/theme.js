// Set the theme that the visitor chose before the page is drawn, so that it never flashes. Not a module: modules wait.
"use strict";
(() => {
  const themes = ["auto", "light", "dark"];
  const stored = localStorage.getItem("lookcast-theme");
  let theme = themes.includes(stored) ? stored : "auto";
  const apply = () => {
    document.documentElement.dataset.theme = theme;
  };
  apply();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => {
      document.getElementById("theme-name").textContent = `Theme: ${theme}`;
      button.setAttribute("aria-label", `Theme: ${theme}`);
    };
    name();
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      localStorage.setItem("lookcast-theme", theme);
      apply();
      name();
    });
  });
})();
