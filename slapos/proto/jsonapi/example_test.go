package jsonapi_test

import (
	"fmt"

	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

func ExampleMethod_Decode() {
	method, _ := jsonapi.FindMethod("slapos.get.v0.instance_tree")
	call, err := method.Decode([]byte(`{"title": "my instance"}`))
	fmt.Println(call.Title, err)
	_, err = method.Decode([]byte(`{"name": "my instance"}`))
	fmt.Println(err)
	// Output:
	// my instance <nil>
	// slap: "name" is a key that slapos.get.v0.instance_tree does not take
}
