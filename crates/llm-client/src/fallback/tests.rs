use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::Block;

/// Answers once with what it was given.
struct Once {
    name: &'static str,
    answer: Mutex<Option<Result<ModelReply, ModelError>>>,
}

fn once(name: &'static str, answer: Result<&str, ModelError>) -> Arc<dyn Model> {
    let reply = answer.map(|text| ModelReply {
        blocks: vec![Block::text(text)],
        ..ModelReply::default()
    });
    Arc::new(Once {
        name,
        answer: Mutex::new(Some(reply)),
    })
}

#[async_trait]
impl Model for Once {
    fn name(&self) -> &str {
        self.name
    }

    async fn reply(
        &self,
        _request: &ModelRequest,
        _on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let answer = self.answer.lock().expect("no panic").take();
        answer.expect("it is asked once")
    }
}

fn overloaded() -> ModelError {
    ModelError::Unavailable {
        message: "overloaded".to_owned(),
        retry_after: None,
    }
}

async fn ask(first: Arc<dyn Model>, others: Vec<Arc<dyn Model>>) -> Result<ModelReply, ModelError> {
    let model = FallbackModel::new(first, others);
    model.reply(&ModelRequest::default(), &|_| {}).await
}

#[tokio::test]
async fn the_next_model_answers_where_the_first_is_overloaded_or_too_small() {
    let small = ModelError::ContextWindow("too long".to_owned());
    for failure in [overloaded(), small] {
        let others = vec![once("b", Err(overloaded())), once("c", Ok("hello"))];
        let code = failure.code();
        let reply = ask(once("a", Err(failure)), others).await.expect("a reply");
        assert_eq!(reply.text(), "hello");
        let fallback = reply.fallback.expect("it is said");
        assert_eq!((fallback.from.as_str(), fallback.to.as_str()), ("a", "c"));
        assert_eq!(fallback.code, code);
    }
}

#[tokio::test]
async fn a_mistake_in_the_settings_is_told_and_no_other_model_is_asked() {
    let wrong = ModelError::Authentication("no".to_owned());
    let answer = ask(once("a", Err(wrong.clone())), vec![once("b", Ok("hello"))]).await;
    assert_eq!(answer, Err(wrong));
}

#[tokio::test]
async fn when_all_fail_the_first_failure_is_told() {
    let late = ModelError::Timeout("late".to_owned());
    let answer = ask(once("a", Err(overloaded())), vec![once("b", Err(late))]).await;
    assert_eq!(answer, Err(overloaded()));
}

#[test]
fn fallbacks_are_names_or_settings() {
    let settings = LlmSettings {
        model: "openai/a".to_owned(),
        api_key: Some("k".to_owned()),
        fallback_strategy: Some(json!({"fallback_llms": ["openai/b", {"model": "ollama/c"}]})),
        ..LlmSettings::default()
    };
    let found = fallbacks(&settings).expect("settings");
    let names: Vec<&str> = found.iter().map(|llm| llm.model.as_str()).collect();
    assert_eq!(names, ["openai/b", "ollama/c"]);
    assert_eq!(found[0].api_key.as_deref(), Some("k"));
    assert_eq!(found[1].api_key, None);
    assert!(found.iter().all(|llm| llm.fallback_strategy.is_none()));
    for wrong in [json!({"fallback_llms": "b"}), json!({"fallback_llms": [1]})] {
        let settings = LlmSettings {
            fallback_strategy: Some(wrong),
            ..LlmSettings::default()
        };
        assert!(fallbacks(&settings).is_err());
    }
}

#[test]
fn a_key_goes_to_no_other_provider() {
    let first = LlmSettings {
        model: "openai/a".to_owned(),
        api_key: Some("k".to_owned()),
        base_url: Some("https://example.com/v1".to_owned()),
        extra_headers: Some([("x-key".to_owned(), "k".to_owned())].into()),
        input_cost_per_token: Some(1.0),
        fallback_strategy: Some(json!({"fallback_llms": ["anthropic/b", "openai/c", "d"]})),
        ..LlmSettings::default()
    };
    let found = fallbacks(&first).expect("settings");
    for other in [&found[0], &found[2]] {
        assert_eq!(other.api_key, None, "{}", other.model);
        assert_eq!(other.base_url, None, "{}", other.model);
        assert_eq!(other.extra_headers, None, "{}", other.model);
    }
    assert_eq!(found[1].api_key.as_deref(), Some("k"));
    assert_eq!(found[1].base_url, first.base_url);
    // What the first costs says nothing of the others.
    assert!(
        found
            .iter()
            .all(|other| other.input_cost_per_token.is_none())
    );
}
