import { expect, test } from 'vitest';
import { adaptCss } from './hover-css.ts';

test('each selector with :hover also gets the class that the replayer sets', () => {
  expect(adaptCss('a:hover { color: red }')).toBe('a:hover,\na.\\:hover { color: red }');
  expect(adaptCss('a, b:hover > c:hover{x:y}')).toBe('a, b:hover > c:hover,\nb.\\:hover > c.\\:hover {x:y}');
});

test('rules inside at-rules are adapted, and the queries of devices', () => {
  expect(adaptCss('@media (min-device-width: 600px) { i:hover{top:0} }')).toBe(
    '@media (min-width: 600px) { i:hover,\ni.\\:hover {top:0} }',
  );
  expect(adaptCss('@supports (display: grid) { @media (max-device-height:9px) { p{} } }')).toContain(
    '(max-height:9px)',
  );
});

test('commas inside brackets part no selectors', () => {
  expect(adaptCss('a:is(b, c):hover{}')).toBe('a:is(b, c):hover,\na:is(b, c).\\:hover {}');
  expect(adaptCss('[x="a,b"]:hover{}')).toBe('[x="a,b"]:hover,\n[x="a,b"].\\:hover {}');
});

test('a class whose name has an escaped :hover keeps its name', () => {
  expect(adaptCss('.md\\:hover\\:red:hover{}')).toBe(
    '.md\\:hover\\:red:hover,\n.md\\:hover\\:red.\\:hover {}',
  );
});

test('strings, comments, escapes and addresses are no syntax', () => {
  for (const css of [
    'a::before { content: ":hover {"; }',
    '/* b:hover { } */ a { }',
    'a { background: url(data:image/png;base64,x:hover{}) }',
    'a { content: "\\"; :hover {" }',
    '.sm\\:hover\\{ { top: 0 }',
  ])
    expect(adaptCss(`${css}\ni:hover{}`), css).toBe(`${css}\ni:hover,\ni.\\:hover {}`);
});

test('a sheet with nothing to adapt, or torn in the middle, comes back whole', () => {
  expect(adaptCss('a{b:c}')).toBe('a{b:c}');
  for (const torn of ['a:hover {', 'a:hover', 'x{y:"', '/* :hover', 'x:hover{y:url(', 'a:hover{}}}}'])
    expect(
      adaptCss(torn)
        .replace(/,\n[^{]*\.\\:hover /g, ' ')
        .replace(/\s/g, ''),
    ).toBe(torn.replace(/\s/g, ''));
});

test('focus and validity match what the recorder told of them', () => {
  expect(adaptCss('a:focus, b:not(:focus-visible) {}')).toBe(
    'a[data-rr-state~=focus], b:not([data-rr-state~=focus-visible]) {}',
  );
  expect(adaptCss('label:focus-within{}')).toBe(
    'label:is([data-rr-state~=focus],:has([data-rr-state~=focus])){}',
  );
  expect(adaptCss('input:invalid{} i:user-invalid{} p:hover:focus{}')).toBe(
    'input[data-rr-state~=invalid]{} i[data-rr-state~=user-invalid]{} p:hover[data-rr-state~=focus],\np.\\:hover[data-rr-state~=focus] {}',
  );
  expect(adaptCss('input:valid{}')).toContain(':not([data-rr-state~=invalid])');
  expect(adaptCss('.is\\:focus{} .a:focus-thing{} b{content:":focus"}')).toBe(
    '.is\\:focus{} .a:focus-thing{} b{content:":focus"}',
  );
});
