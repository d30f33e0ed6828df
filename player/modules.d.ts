/** What Vite gives for a style sheet. */
declare module '*.css?inline' {
  const css: string;
  export default css;
}
declare module '*.css';
