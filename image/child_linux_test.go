package image_test

import (
	"context"
	"fmt"
	"os"

	"github.com/hostler-project/hostler/image"
)

// child is this test's program called again, as another process on a store.
func child(args []string) {
	s, err := image.Open(args[1], image.Options{})
	if err == nil {
		var img image.Image
		if img, err = s.Pull(context.Background(), args[2], image.PullOptions{}); err == nil {
			fmt.Println(img.Digest)
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
