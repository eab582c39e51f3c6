package configure_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/configure"
	"github.com/hostler-project/hostler/slapos/proto"
)

func ExampleClient_Text() {
	c := configure.Client{Master: "https://slap.example.com/100%", Cert: "/home/ann/client.crt", Key: "/home/ann/client.key"}
	fmt.Print(c.Text())
	// Output:
	// [slapos]
	// master_url = https://slap.example.com/100%%
	//
	// [slapconsole]
	// cert_file = /home/ann/client.crt
	// key_file = /home/ann/client.key
	// # alias =
	// #   NAME URL
}

// TestSettle: a file is written once, and one that says something else stays.
func TestSettle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "slapos.cfg")
	for range 2 {
		if err := configure.Settle(path, "x\n", 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := configure.Settle(path, "y\n", 0o700); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("err = %v; want ErrConflict", err)
	}
}

// TestWriteNode: what was in the directory is moved away, and each time to another name.
func TestWriteNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "slapos")
	pair := &proto.Certificate{Key: "key", Certificate: "certificate"}
	for _, want := range []string{"", dir + ".old", dir + ".old.1"} {
		moved, err := configure.WriteNode(dir, "slapos.cfg", "x\n", pair, "")
		if err != nil || moved != want {
			t.Fatalf("moved = %q, err = %v; want %q and no error", moved, err, want)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "ssl", "key")); err != nil || string(text) != "key" {
		t.Errorf("text = %q, err = %v; want the key", text, err)
	}
}
