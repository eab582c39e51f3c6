package jsonapi

import (
	"github.com/hostler-project/hostler/slapos/proto"
)

// Schema is a method's input as a JSON Schema of draft-07, equal to the checks of [Method.Decode].
func (m *Method) Schema() map[string]any {
	properties := map[string]any{}
	var c Call
	for _, names := range [][]string{m.Required, m.Optional} {
		for _, name := range names {
			properties[name] = m.keySchema(name, c.key(name))
		}
	}
	required := append([]string{}, m.Required...) // not null
	return map[string]any{"$schema": "http://json-schema.org/draft-07/schema#", "title": m.Name, "type": "object", "properties": properties,
		"required": required, "additionalProperties": false}
}

func (m *Method) keySchema(name string, to any) map[string]any {
	s := map[string]any{}
	switch to.(type) {
	case *string:
		s["type"] = "string"
		switch name {
		case "title":
			s["maxLength"] = maxTitle
		case "state", "reported_state":
			s["enum"] = m.States
		}
	case *bool:
		s["type"] = "boolean"
	case *proto.Dictionary:
		s["type"] = "object"
		if name == "sla_parameters" {
			s["properties"] = map[string]any{"retention_delay": map[string]any{"type": "number"}}
			s["additionalProperties"] = map[string]any{"type": "string"}
		}
	case *[]Partition:
		return partitionsSchema()
	}
	return s
}

func partitionsSchema() map[string]any {
	text := map[string]any{"type": "string"}
	object := func(properties map[string]any, required string) map[string]any {
		return map[string]any{
			"type":  "array",
			"items": map[string]any{"type": "object", "properties": properties, "required": []string{required}},
		}
	}
	address := map[string]any{}
	for _, name := range []string{"ip-address", "network-interface", "netmask", "gateway-ip-address", "network-address"} {
		address[name] = text
	}
	return object(map[string]any{"partition_id": text, "ip_list": object(address, "ip-address")}, "partition_id")
}
