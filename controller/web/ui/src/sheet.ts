// A style element as far as the terminal uses one, which a strict Content-Security-Policy allows: its text becomes a sheet of the document.
export function sheet(): HTMLElement {
  const element = document.createElement("span");
  const rules = new CSSStyleSheet();
  element.hidden = true;
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, rules];
  Object.defineProperty(element, "textContent", {
    set(text: string) {
      rules.replaceSync(text);
    },
    get: () => "",
  });
  const remove = element.remove.bind(element);
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((s) => s !== rules);
    remove();
  };
  return element;
}
