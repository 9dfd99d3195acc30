package adapt_test

import (
	"encoding/binary"
	"net/http"
	"testing"

	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// The tests TestDefectAbsent_... show that the known defects of Ballerina's websocket
// module are absent here. The names below are without that prefix; names that begin with
// Test are of other tests, those with "chanws:" in front are in the package above.
//
//	Read starvation
//	  control frames are seen only while a read waits     ControlFramesNeedNoRead, PingsAreAnsweredAndCloseSeenWhileAHandlerRuns
//	  heartbeats wait behind a stream                     HeartbeatsAreAnsweredDuringAStream
//	  a close waits for a client that does not read       CloseDoesNotWaitForAClientThatDoesNotRead
//	  hangs around reads, streams, closes                 TestTheLastCallbackComesOnceWhateverGoesOn, chanws: TestLifecycleInMemory
//	Callbacks
//	  no immediateStop                                    ImmediateStopCuts
//	  no asynchronous client                              ClientsHaveCallbacksAndDispatchToo
//	  isOpen in onClose                                   TestScenario045_IsOpenIsFalseInOnClose
//	  constraints                                         RefusedValuesDoNotFreeze, TestScenario178 to 190
//	  a panic ends the process                            PanicsEndOneConnectionOnly, TestAPanicInAnyCallbackClosesOnlyItsConnection
//	  a returned error freezes the connection             ReturnedErrorsDoNotFreeze
//	  so does an invalid return value                     ResultsThatCannotBeSentDoNotFreeze
//	  arrays are sent as bytes                            ReturnedArraysAreJSON
//	  service and caller stay in memory                   NothingOfAConnectionIsKept
//	  the connection count stays up after a drop          ADroppedConnectionFreesItsPlace
//	Time
//	  the back-off never grows                            BackOffGrowsByItsFactor
//	  no jitter                                           BackOffJitters
//	  timeouts below a second, or in fractions            SubSecondTimeoutsAreHonoured
//	  the handshake timeout is an idle timeout            HandshakeTimeoutIsADeadline
//	  it does not cover connecting and TLS                HandshakeTimeoutCoversConnectAndTLS
//	  it becomes a read timeout                           HandshakeTimeoutDoesNotOutliveTheHandshake
//	Messages
//	  UTF-8 is cut when fragmented                        FragmentsMayCutCharacters
//	  fragments of two messages mix                       FragmentsNeverInterleave
//	  a message has no limit                              TotalMessageSizeIsLimited
//	  streams know no back-pressure                       StreamsWaitForThePeer
//	  no streams of binary messages                       StreamsMayBeBinary
//	Reads
//	  concurrent reads overwrite each other               ConcurrentReadsGetAMessageEach
//	  a message after a timeout is lost                   AMessageAfterAReadTimedOutIsNotLost
//	  the type of a read leaks into the next              TheTypeOfAReadDoesNotStick
//	  the wrong kind is no defined error                  TheWrongKindIsADefinedError
//	  a binary message that does not bind closes          BinaryBindingFailureLeavesTheConnectionOpen
//	Close
//	  data ahead of the echo                              DataAheadOfTheEchoDelaysNoClose
//	  timeout 0 is an error                               CloseTimeoutZeroIsNoError
//	  another code in the echo is a failure               AnEchoWithAnotherCodeIsNoFailure
//	  close in onClose blocks                             CloseInOnCloseDoesNotBlock
//	  the reason's length                                 ReasonLengthIsCheckedUpFront
//	  a slow onClose delays the echo                      ASlowOnCloseDoesNotDelayTheEcho
//	  no onClose after the service's own close            OnCloseIsCalledForServerInitiatedCloses
//	  no onClose after an IO error                        IOErrorsGiveOnClose1006
//	Dispatch
//	  a peer calls onOpen and onError                     LifecycleCallbacksCannotBeNamedByThePeer
//	  inner capitals are lost                             InnerCapitalsAreKept
//	  types that collide with callbacks                   TypesMayBeNamedLikeCallbacks
//	  unmatched types skip onMessage                      UnmatchedTypesGoToOnMessage
//	  a binary message picks by declaration order         BinaryPicksItsHandler
//	Upgrades
//	  routing by contains, without case                   RoutingIsExact
//	  "." is every path below                             TheRootIsNotEveryPath
//	  one resource for each service                       SeveralServicesAndPathsShareAListener
//	  code runs on after a missing header                 AMissingHeaderEndsTheHandshake
//	  decimal paths, bad queries, defaults                ParametersMayBeAnything
//	  no detach                                           DetachWorks
//	  no 1001 and no drain in gracefulStop                GracefulStopSays1001AndDrains
//	  no Origin helper                                    OriginsAreChecked
//	Errors
//	  types that are never raised, or plain errors        HandshakeTimeoutIsTyped, TLSErrorsAreTyped,
//	                                                      OversizeIsTypedOnTheClient, InvalidContinuationIsTyped, BindingErrorsAreTyped
//	  names of types in the texts                         ErrorTextsNameNoTypes
//	Retry
//	  token and cookies frozen                            EachAttemptHasAFreshToken
//	  5xx is never retried                                ServerErrorsAreRetriedAndClientErrorsAreNot
//	  a write without attempts left never returns         AnExhaustedWriteReturns
//	  it sleeps on the thread of I/O                      TestCloseEndsAReconnection, chanws: TestClient_Close_ends_a_reconnection
//	  writes are repeated                                 AnAsyncClientRepeatsNoWrite
//	  nobody is told                                      ReconnectionsAreTold
//	Cookies
//	  shortest path first                                 TheJarSendsTheLongestPathFirst
//	  the caller's maps change                            OptionsAreNeverChanged
//	Missing there
//	  proxy, dial hook                                    ProxiesAreUsed, DiallingHasAHook
//	  contexts                                            ContextsEndReadsAndWrites
//	  keepalive, pong deadline                            KeepaliveEndsASilentPeer
//	  server write timeout                                ServerWritesTimeOut
//	  outbound queue limit                                TheOutboundQueueIsBounded
//	  connection limit                                    ADroppedConnectionFreesItsPlace, TestMaxConnsIsALimit
//	  client-side dispatch                                ClientsHaveCallbacksAndDispatchToo

// defectHost serves s in memory.
func defectHost(t testing.TB, s *adapt.Service, cfg *adapt.ServiceConfig) *host {
	t.Helper()
	require.NoError(t, s.Validate())
	return newHost(t, adapt.Handler(shared(s), cfg))
}

// defectFrame is a client's frame of any length below 64 KiB.
func defectFrame(fin bool, opcode byte, payload string) []byte {
	if fin {
		opcode |= 0x80
	}
	if len(payload) < 126 {
		return append([]byte{opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
	}
	frame := binary.BigEndian.AppendUint16([]byte{opcode, 0x80 | 126}, uint16(len(payload)))
	return append(append(frame, 0, 0, 0, 0), payload...)
}

// defectUnavailable answers 503 a number of times, and then as h does.
func defectUnavailable(times int, h http.Handler) http.Handler {
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n <= times {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}
