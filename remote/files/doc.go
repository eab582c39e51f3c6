// Package files puts trees on a far side, and gets them from there, where nothing of ours runs: by
// few acts for each file, or by sh and what comes with it.
package files
