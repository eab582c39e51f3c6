// Package console reads the lines that people type at a SlapOS console. A line calls a given
// function or a method of its result; values are written as in Python, and results can have names.
// It knows no more of Python: no loops, no definitions, and no access beyond the given functions.
package console
