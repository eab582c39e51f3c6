package proc

// Holds looks for an entry in what is read, through a window of so many bytes.
func Holds(read func([]byte) (int, error), entry string, window int) bool {
	return readerHas(read, []byte("\x00"+entry+"\x00"), make([]byte, window))
}
