package fromgws

const key = "secret"

// codes takes the close codes that the servers of the page have seen.
var codes = make(chan int, 64)

func left(code int) { codes <- code }
