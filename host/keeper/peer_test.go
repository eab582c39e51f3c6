package keeper_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hostler-project/hostler/host/keeper"
)

func TestGarbageHurtsNobody(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	serve(t, opt)
	for _, say := range []string{
		"", "GET / HTTP/1.1\r\n\r\n", "HsKp\xff\xff\xff\xff", "HsKp\x00\x00\x00\x02{]",
		"HsKp\x00\x00\x00\x09\x01\x07connect", "HsKp\x00",
	} {
		nc, err := net.Dial("unix", opt.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close() // those that say too little stay until the end
		io.WriteString(nc, say)
	}
	c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
	if err != nil {
		t.Fatal(err)
	}
	output(t, c, "true")
	c.Close()
	nc, err := net.Dial("unix", opt.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const ask = "\x09\x07connectand what we cannot know"
	io.WriteString(nc, "HsKp\x00\x00\x00"+string(rune(len(ask)))+ask)
	if p, _ := io.ReadAll(nc); !bytes.Contains(p, []byte("HsKp\x00\x00\x00\x04\x01\x01\x00\x00")) {
		t.Errorf("a client of another version is told %q", p)
	}
}
