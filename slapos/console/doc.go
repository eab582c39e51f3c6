// Package console reads the lines that people type at a SlapOS console: calls of functions that are
// given, with values written as in Python, names for what they return, and methods of it. That is
// all of Python that it knows: there are no loops, no definitions, and no way to anything but what
// was given.
package console
