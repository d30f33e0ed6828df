/** Names this recorder in HELLO and in the environment event. */
export const RECORDER = 'mutoscope/0.1.0';
