package webhook

// What the tests outside of the package see of it.

const (
	EventHeader    = eventHeader
	DeliveryHeader = deliveryHeader
)

var Sign = sign
