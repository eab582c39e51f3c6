// Package subprocess has another program know the registries of images, so that its caller need not
// link the library for that. Each call is a process of that program. It gets one JSON document on
// its standard input, and answers with one on its output. It ends when its input does, so it does
// not outlive its caller.
package subprocess
