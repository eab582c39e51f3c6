// Crosscheck says whether hostler is right for other machines, without compiling it for them: every
// package, with its tests, is type-checked from its source as for that system and processor, and go
// vet's analyzers look at it. `go vet` of another system finds the same, and compiles the standard
// library and all that hostler is made of for it first.
//
//	crosscheck [-C DIR] GOOS/GOARCH...
//
// It ends with 1 where anything was found, and prints that as the compiler does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
)

func main() {
	dir := flag.String("C", ".", "the module's directory")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: crosscheck [-C DIR] GOOS/GOARCH...")
		os.Exit(2)
	}
	failed := make([]error, flag.NArg())
	var wg sync.WaitGroup
	for i, target := range flag.Args() {
		wg.Go(func() { failed[i] = check(*dir, target) })
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
