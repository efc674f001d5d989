// What a tenant writes on a client that openapi-generator generated for Java, as the package `kedge`.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import kedge.ApiClient;
import kedge.ApiException;
import kedge.api.EntriesApi;
import kedge.api.LogApi;
import kedge.model.NewEntries;
import kedge.model.ProofLine;
import kedge.model.ProofsRequest;
import kedge.model.StatusLine;
import kedge.model.StatusRequest;

public class Client {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    JsonNode settings = json.readTree(System.in);
    String log = settings.get("log").asText();
    List<String> hashes = new ArrayList<>();
    settings.get("hashes").forEach(hash -> hashes.add(hash.asText()));
    String authorization = "Bearer " + settings.get("apiKey").asText();
    ApiClient client = new ApiClient();
    client.updateBaseUri(settings.get("url").asText());
    client.setRequestInterceptor(request -> request.setHeader("Authorization", authorization));
    EntriesApi entries = new EntriesApi(client);
    Object answer = settings.get("step").asText().equals("post")
      ? post(entries, log, hashes)
      : fetch(entries, new LogApi(client), log, hashes);
    System.out.println(json.writeValueAsString(answer));
  }

  private static Object post(EntriesApi entries, String log, List<String> hashes) throws Exception {
    // Octets are not for this generator: it would send a file's name as JSON.
    return Map.of("accepted", entries.appendEntries(log, new NewEntries().hashes(hashes)).getAccepted());
  }

  private static Object fetch(EntriesApi entries, LogApi logs, String log, List<String> hashes) throws ApiException {
    List<String> statuses = new ArrayList<>();
    for (String line : entries.getEntries(log, new StatusRequest().hashes(hashes)).split("\n")) {
      statuses.add(read(StatusLine.class, line).getAssurance().getValue());
    }
    List<String> proofs = new ArrayList<>();
    for (String line : entries.getProofs(log, new ProofsRequest().hashes(hashes)).split("\n")) {
      proofs.add(read(ProofLine.class, line).getProof());
    }
    return Map.of(
      "assurance", entries.getEntry(log, hashes.get(0)).getAssurance().getValue(),
      "statuses", statuses,
      "origin", logs.getLog(log).getOrigin(),
      "one", entries.getProof(log, hashes.get(0)),
      "proofs", proofs
    );
  }

  private static <T> T read(Class<T> type, String line) {
    try {
      return ApiClient.createDefaultObjectMapper().readValue(line, type);
    } catch (Exception error) {
      throw new IllegalStateException(line, error);
    }
  }
}
