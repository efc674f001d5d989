// What a tenant writes on a client that openapi-generator generated for Java, as the package `kedge`.
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import kedge.ApiClient;
import kedge.JSON;
import kedge.api.EntriesApi;
import kedge.api.LogApi;
import kedge.model.NewEntries;
import kedge.model.ProofLine;
import kedge.model.ProofsRequest;
import kedge.model.StatusLine;
import kedge.model.StatusRequest;

public class Client {
  public static void main(String[] args) throws Exception {
    JsonObject settings = JsonParser.parseReader(new InputStreamReader(System.in)).getAsJsonObject();
    String log = settings.get("log").getAsString();
    List<String> hashes = new ArrayList<>();
    settings.get("hashes").getAsJsonArray().forEach(hash -> hashes.add(hash.getAsString()));
    ApiClient client = new ApiClient().setBasePath(settings.get("url").getAsString());
    client.setBearerToken(settings.get("apiKey").getAsString());
    EntriesApi entries = new EntriesApi(client);
    Object answer = settings.get("step").getAsString().equals("post")
      ? post(entries, log, hashes)
      : fetch(entries, new LogApi(client), log, hashes);
    System.out.println(JSON.getGson().toJson(answer));
    System.exit(0); // and not a minute later, when the connections are given up
  }

  private static Object post(EntriesApi entries, String log, List<String> hashes) throws Exception {
    int accepted = entries.appendEntries(log, new NewEntries().hashes(hashes)).getAccepted().intValue();
    Path octets = Files.createTempFile("commitments", "");
    Files.write(octets, HexFormat.of().parseHex(String.join("", hashes)));
    int again = entries.appendOctets(log, octets.toFile()).getAccepted().intValue();
    Files.delete(octets);
    if (again != accepted) throw new IllegalStateException("accepted " + again);
    return Map.of("accepted", accepted);
  }

  private static Object fetch(EntriesApi entries, LogApi logs, String log, List<String> hashes) throws Exception {
    List<String> statuses = new ArrayList<>();
    for (String line : entries.getEntries(log, new StatusRequest().hashes(hashes)).split("\n")) {
      statuses.add(StatusLine.fromJson(line).getAssurance().getValue());
    }
    List<String> proofs = new ArrayList<>();
    for (String line : entries.getProofs(log, new ProofsRequest().hashes(hashes)).split("\n")) {
      proofs.add(ProofLine.fromJson(line).getProof());
    }
    return Map.of(
      "assurance", entries.getEntry(log, hashes.get(0)).getAssurance().getValue(),
      "statuses", statuses,
      "origin", logs.getLog(log).getOrigin(),
      "one", entries.getProof(log, hashes.get(0)),
      "proofs", proofs
    );
  }
}
