// Package wire turns the project's plain types into GREP11's messages and
// back, both directions side by side, so that library and server cannot
// disagree about a form. What arrives here comes from strangers: every decoder
// bounds sizes and depth and answers with the standard's code.
package wire
