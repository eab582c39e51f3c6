package image_test

import (
	"context"
	"fmt"
	"os"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
)

// child is this test's program called again, as another process on a store: child-VERB DIR REF.
func child(args []string) {
	s, err := image.Open(args[1], image.Options{Registry: registry.Client{}})
	if err == nil {
		var img image.Image
		switch args[0] {
		case "child-pull":
			img, err = s.Pull(context.Background(), args[2], image.PullOptions{})
		case "child-remove":
			err = s.Remove(context.Background(), args[2])
		}
		if err == nil {
			fmt.Println(img.Digest)
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
