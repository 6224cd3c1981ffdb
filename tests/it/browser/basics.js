// What anybody has to be able to rely on who does not see the page, or not well: a list of what is wrong. Not all that there is to say
// of that, but what can be told without a doubt.
(() => {
  const wrong = [];
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
  const called = (element) => element.tagName.toLowerCase() + (element.className && element.className.baseVal === undefined ? "." + element.className : "")
    + ` "${element.textContent.trim().slice(0, 30)}"`;

  if (!document.documentElement.lang) wrong.push("the page has no language");
  if (!document.title) wrong.push("the page has no title");
  if (all("h1").length !== 1) wrong.push("the page has not one main heading");
  if (all("main").length !== 1) wrong.push("the page has not one main part");
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) wrong.push("a level is left out before " + called(heading));
    if (!heading.textContent.trim()) wrong.push("an empty heading");
    level = own;
  }
  const name = (element) => {
    const by = element.getAttribute("aria-labelledby");
    return (element.getAttribute("aria-label") || (by && document.getElementById(by)?.textContent) || element.textContent || "").trim();
  };
  for (const element of all("button, a, summary, progress, [role=img], article")) {
    if (!name(element)) wrong.push("nameless: " + called(element));
  }
  for (const button of all("button")) {
    const { width, height } = button.getBoundingClientRect();
    if (width < 24 || height < 24) wrong.push(`too small to be hit: ${called(button)}, ${width} by ${height}`);
  }
  for (const field of all("input, select, textarea")) {
    if (!field.labels?.length && !field.getAttribute("aria-label")) wrong.push("no label: " + called(field));
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id is there twice: " + ids);
  for (const list of all("ul, ol")) {
    if ([...list.children].some((child) => child.tagName !== "LI")) wrong.push("not only entries in " + called(list));
  }

  // WCAG 2.2, 1.4.3.
  const numbers = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  for (const element of all("body *")) {
    const speaks = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!speaks || element.closest(".hidden, .skip, :disabled")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(numbers(style.color)), light(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) wrong.push(`too little contrast, ${contrast.toFixed(2)}: ${called(element)}`);
  }
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) wrong.push(`${width} wide in ${innerWidth}: it scrolls sideways`);
  return wrong;
})()
