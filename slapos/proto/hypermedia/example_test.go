package hypermedia_test

import (
	"fmt"

	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
)

func ExampleExpand() {
	fmt.Println(hypermedia.Expand(
		"https://slap.example.com/?mode=search{&query,limit}",
		map[string]any{"query": hypermedia.Query{Kind: "Instance Tree"}.String(), "limit": 40},
	))
	// Output:
	// https://slap.example.com/?mode=search&query=portal_type%3A%22Instance%20Tree%22%20AND%20validation_state%3Avalidated&limit=40 <nil>
}
